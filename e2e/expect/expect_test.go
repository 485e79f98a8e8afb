package expect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

const good = `runtime: cri-dockerd
kubernetes: v1.36
failures:
- spec: "[sig-node] images are volumes"
  reason: cri-dockerd has no image mounts
  issue: https://github.com/Mirantis/cri-dockerd/issues/526
`

func TestParse(t *testing.T) {
	l, err := Parse("x.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	want := []Failure{{"[sig-node] images are volumes", "cri-dockerd has no image mounts", "https://github.com/Mirantis/cri-dockerd/issues/526"}}
	if diff := cmp.Diff(want, l.Failures); diff != "" || l.Runtime != "cri-dockerd" || l.Kubernetes != "v1.36" {
		t.Errorf("%+v\n%s", l, diff)
	}
}

func TestParseRefuses(t *testing.T) {
	entry := good[strings.Index(good, "- spec"):]
	for want, text := range map[string]string{
		"the file is empty":                 "# nothing\n",
		"line 5: field why not found":       strings.Replace(good, "reason", "why", 1),
		"is there twice":                    good + entry,
		"has no reason":                     strings.Replace(good, "cri-dockerd has no image mounts", "", 1),
		"failures[0] has no spec":           strings.Replace(good, `"[sig-node] images are volumes"`, `""`, 1),
		`issue "526" is not the https://`:   strings.Replace(good, "https://github.com/Mirantis/cri-dockerd/issues/526", `"526"`, 1),
		"unknown container runtime":         strings.Replace(good, "runtime: cri-dockerd", "runtime: rkt", 1),
		"runtime is missing":                strings.Replace(good, "runtime: cri-dockerd\n", "", 1),
		`suite: "smoke" is not cri`:         "suite: smoke\n" + good,
		`"v1.36.3" is no minor version`:     strings.Replace(good, "v1.36", "v1.36.3", 1),
		"one document, and here is more":    good + "---\n" + good,
		`mapping key "runtime" already def`: good + "runtime: cri-o\n",
	} {
		if _, err := Parse("x.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "x.yaml") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestOwnListsAreGood(t *testing.T) {
	table, err := Load(BuiltIn)
	if err != nil || len(table.lists) == 0 {
		t.Fatalf("%v, %v", table, err)
	}
	if _, err := parseAll(fstest.MapFS{"cri-o-v1.36.yaml": {Data: []byte(good)}}); err == nil || !strings.Contains(err.Error(), "must be cri-dockerd-v1.36.yaml") {
		t.Errorf("a list under another's name: %v", err)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// ofKubernetes is what is chosen, of Kubernetes' own specs.
func ofKubernetes(t *testing.T, chosen string) *Table {
	t.Helper()
	table, err := Load(chosen)
	if err == nil {
		table, err = table.ForSuite("")
	}
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestAFileTakesThePlaceOfOurs(t *testing.T) {
	file := write(t, good)
	table := ofKubernetes(t, file)
	if l := table.find("cri-dockerd", "v1.36"); l == nil || l.Source != file {
		t.Errorf("%+v", l)
	}
	if l := table.find("cri-o", "v1.36"); l == nil || l.Source != "cri-o-v1.36.yaml" {
		t.Errorf("%+v", l)
	}
	if err := table.CheckUse("v1.36.3", "cri-dockerd", "cri-o"); err != nil {
		t.Error(err)
	}
	for _, of := range []struct{ version, runtime string }{{"v1.36.3", "containerd"}, {"v1.35.4", "cri-dockerd"}} {
		if err := table.CheckUse(of.version, of.runtime); failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), file) {
			t.Errorf("%v: %v", of, err)
		}
	}
}

func TestLoad(t *testing.T) {
	for _, none := range [][]string{nil, {None}} {
		if table, err := Load(none...); table != nil || err != nil {
			t.Errorf("%q: %v, %v", none, table, err)
		}
	}
	file := write(t, good)
	for name, chosen := range map[string][]string{
		"none and a file": {None, file}, "twice the same": {file, write(t, good)}, "no file": {filepath.Join(t.TempDir(), "x")}, "a bad one": {write(t, "a: b")},
	} {
		if _, err := Load(chosen...); failure.Code(err) != failure.CodeUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	table := ofKubernetes(t, write(t, good))
	if err := table.Check("v1.36.3", []string{"other", "[sig-node] images are volumes"}); err != nil {
		t.Error(err)
	}
	err := table.Check("v1.36.3", []string{"[sig-node] images are volume"})
	if failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), `no spec "[sig-node] images are volumes" (did you mean "[sig-node] images are volume"?)`) {
		t.Error(err)
	}
	if err := table.Check("v1.35.4", nil); err != nil {
		t.Errorf("a list of another version: %v", err)
	}
	if err := (*Table)(nil).Check("v1.36.3", nil); err != nil {
		t.Error(err)
	}
}

func TestApply(t *testing.T) {
	table := ofKubernetes(t, write(t, good))
	of := func(runtimes ...string) *report.Report {
		r := &report.Report{Clusters: []report.Cluster{{Kubernetes: "v1.36.3"}}, Specs: []report.Spec{
			{Name: "[sig-node] images are volumes", State: report.Failed}, {Name: "other", State: report.Failed},
		}}
		for _, name := range runtimes {
			r.Clusters[0].Nodes = append(r.Clusters[0].Nodes, report.Node{Runtime: name})
		}
		table.Apply(r)
		return r
	}
	r := of("docker://28.5.2", "docker://28.5.2")
	if r.Specs[0].State != report.ExpectedFailure || r.Specs[0].Expectation == nil || r.Specs[1].State != report.Failed || r.Expectations == "" {
		t.Errorf("%+v", r)
	}
	for name, r := range map[string]*report.Report{"another runtime": of("containerd://2.4.2"), "a mixed cluster": of("docker://1", "cri-o://1"), "unknown": of()} {
		if r.Specs[0].State != report.Failed {
			t.Errorf("%s: %+v", name, r.Specs)
		}
	}
}

func TestFor(t *testing.T) {
	table := ofKubernetes(t, BuiltIn)
	if one, ok := table.For("cri-o", "v1.36.3"); !ok || len(one.lists) != 1 || one.lists[0].Runtime != "cri-o" {
		t.Errorf("%+v", one)
	}
	if _, ok := table.For("cri-o", "v1.10.0"); ok {
		t.Error("a list of a version that there is none of")
	}
}

// TestListsOfASuite: the specs of cri-tools are in another program than Kubernetes'
// own, so that each has lists of its own.
func TestListsOfASuite(t *testing.T) {
	text := "suite: cri\n" + strings.Replace(good, "images are volumes", "logs", 1)
	lists := map[string]*List{}
	table := &Table{}
	for suite, text := range map[string]string{"": good, SuiteCRI: text} {
		l, err := Parse("x.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		lists[suite], table.lists = l, append(table.lists, l)
	}
	for suite, want := range lists {
		of, err := table.ForSuite(suite)
		if err != nil {
			t.Fatal(err)
		}
		if l := of.find("cri-dockerd", "v1.36"); l != want {
			t.Errorf("suite %q: %+v", suite, l)
		}
	}
	chosen, err := Load(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chosen.ForSuite(""); failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), "suite cri on cri-dockerd with Kubernetes v1.36") {
		t.Errorf("a list of another suite: %v", err)
	}
	if _, err := Load(write(t, text), write(t, text)); failure.Code(err) != failure.CodeUsage {
		t.Errorf("two lists of one suite: %v", err)
	}
	if none, err := (*Table)(nil).ForSuite(SuiteCRI); none != nil || err != nil {
		t.Errorf("%v, %v", none, err)
	}
	if _, err := parseAll(fstest.MapFS{"cri-dockerd-v1.36.yaml": {Data: []byte(text)}}); err == nil || !strings.Contains(err.Error(), "must be cri-cri-dockerd-v1.36.yaml") {
		t.Errorf("a list of a suite under a name that does not say so: %v", err)
	}
}
