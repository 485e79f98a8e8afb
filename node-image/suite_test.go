package nodeimage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (m *machine) suite(spec SuiteSpec, cache string) (Suite, *progressLog) {
	m.t.Helper()
	c, err := LoadCatalog()
	if err != nil {
		m.t.Fatal(err)
	}
	log := &progressLog{}
	s, err := buildSuite(context.Background(), c, spec, m.env, Options{CacheDir: cache, Progress: log})
	if err != nil {
		m.t.Fatal(err)
	}
	return s, log
}

func (m *machine) suiteSpec() SuiteSpec {
	m.write("module/test/conformance/testdata/conformance.yaml", "- codename: a\n")
	return SuiteSpec{Kubernetes: "v1.36.3", Arch: "amd64", Main: map[string][]byte{"main_test.go": []byte("package main")}}
}

func TestBuildSuite(t *testing.T) {
	m := newMachine(t)
	s, log := m.suite(m.suiteSpec(), t.TempDir())
	got := map[string]string{}
	for _, p := range s.Parts {
		text, err := os.ReadFile(filepath.Join(s.Dir, p.Name))
		if err != nil {
			t.Fatal(err)
		}
		got[p.Name] = strings.TrimSpace(string(text)) + " " + p.Version + " " + p.Source
		if p.Digest != digestOf(text) {
			t.Errorf("%s: digest is %s", p.Name, p.Digest)
		}
		if (p.StandIn != "") != (p.Name == PartMain) {
			t.Errorf("%s: stand-in %q", p.Name, p.StandIn)
		}
	}
	want := map[string]string{
		"ginkgo":  "github.com/onsi/ginkgo/v2/ginkgo v2.28.1 module github.com/onsi/ginkgo/v2@v2.28.1",
		"kubectl": "k8s.io/kubernetes/cmd/kubectl v1.36.3 module k8s.io/kubernetes@v1.36.3",
		PartTests: "k8s.io/kubernetes/test/e2e v1.36.3 module k8s.io/kubernetes@v1.36.3",
		PartMain:  "./test/kluster-e2e v1.36.3 module k8s.io/kubernetes@v1.36.3",
		PartSpecs: "- codename: a v1.36.3 module k8s.io/kubernetes@v1.36.3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if log.done != log.total || log.total == 0 {
		t.Errorf("progress ended at %d of %d", log.done, log.total)
	}
	if m.calls("go", "test -c -o") != 2 {
		t.Error("not two test programs were compiled")
	}
}

func TestBuildSuiteAgain(t *testing.T) {
	m, cache := newMachine(t), t.TempDir()
	spec := m.suiteSpec()
	first, _ := m.suite(spec, cache)
	compiled := m.calls("go", "test") + m.calls("go", "build")
	again, log := m.suite(spec, cache)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
	if now := m.calls("go", "test") + m.calls("go", "build"); now != compiled || len(log.steps) > 0 {
		t.Errorf("something was made again: %d, %v", now-compiled, log.steps)
	}
	spec.Main["main_test.go"] = []byte("package main // changed")
	m.suite(spec, cache)
	if now := m.calls("go", "test"); now != 3 {
		t.Errorf("own main was changed: %d test programs compiled in all", now)
	}
}

func TestSuiteStamps(t *testing.T) {
	m := newMachine(t)
	m.suite(m.suiteSpec(), t.TempDir())
	if m.calls("go", "test -c") == 0 {
		t.Fatal("nothing was compiled")
	}
	log, err := os.ReadFile(m.path("go.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(log)), "\n") {
		if strings.HasPrefix(line, "test -c") && !strings.Contains(line, "-X=k8s.io/component-base/version.gitVersion=v1.36.3") {
			t.Errorf("not stamped: %s", line)
		}
	}
}

func TestBuildSuiteWithoutOwnMain(t *testing.T) {
	m := newMachine(t)
	spec := m.suiteSpec()
	spec.Main = nil
	s, log := m.suite(spec, t.TempDir())
	if _, err := os.Stat(filepath.Join(s.Dir, PartMain)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", PartMain, err)
	}
	if log.done != log.total {
		t.Errorf("progress ended at %d of %d", log.done, log.total)
	}
}

func TestBuildSuiteRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*SuiteSpec)
		says   string
	}{
		"unknown version":        {func(s *SuiteSpec) { s.Kubernetes = "v1.2.3" }, `version "v1.2.3" is not known`},
		"a graph not to be had":  {func(s *SuiteSpec) { s.Kubernetes = "v1.33.13" }, "the modules of e2e cannot be had for v1.33.13"},
		"unknown source":         {func(s *SuiteSpec) { s.Source = "pigeon" }, "pigeon"},
		"a source file far away": {func(s *SuiteSpec) { s.Main = map[string][]byte{"../x.go": nil} }, `"../x.go" is no name`},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			spec := m.suiteSpec()
			c.change(&spec)
			_, err := BuildSuite(context.Background(), spec, Options{CacheDir: t.TempDir()})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSuiteOfACheckout(t *testing.T) {
	m := newMachine(t)
	spec := m.suiteSpec()
	spec.Checkout = m.tree("v1.36.3")
	m.write("tree/go.mod", "module k8s.io/kubernetes\n\ngo 1.26.0\n\nrequire github.com/onsi/ginkgo/v2 v2.28.1\n")
	m.write("tree/test/conformance/testdata/conformance.yaml", "")
	m.commit()
	s, _ := m.suite(spec, t.TempDir())
	for _, p := range s.Parts {
		if p.StandIn == "" || !strings.HasPrefix(p.Source, "checkout ") {
			t.Errorf("%s: stand-in %q, source %q", p.Name, p.StandIn, p.Source)
		}
	}
}

func TestSuiteOfARelease(t *testing.T) {
	m := newMachine(t)
	c, err := LoadCatalog()
	if err != nil {
		t.Fatal(err)
	}
	spec := m.suiteSpec()
	spec.Source = SourceRelease
	r, err := resolveSuite(context.Background(), c, spec, m.env)
	if err != nil {
		t.Fatal(err)
	}
	if p := r.program("kubectl"); p.Kind != KindRelease || !strings.HasSuffix(p.URL, "/v1.36.3/bin/linux/amd64/kubectl") || p.Digest == "" {
		t.Errorf("kubectl is %+v", p)
	}
	if p := r.program("ginkgo"); p.Kind != KindModule || p.Version != "v2.28.1" {
		t.Errorf("ginkgo is %+v", p)
	}
	if got := r.graph("e2e").Packages; len(got) != 1 {
		t.Errorf("compiled are %v", got)
	}
}
