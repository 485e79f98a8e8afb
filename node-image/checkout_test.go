package nodeimage

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree is a checkout of "Kubernetes", at a tag.
func (m *machine) tree(tag string) string {
	m.t.Helper()
	for name, text := range map[string]string{
		"go.mod":                    "module k8s.io/kubernetes\n\ngo 1.26.0\n",
		"build/pause/linux/pause.c": "int main(void) { return 0; }",
		"test/images/agnhost/porter/localhost.crt": "certificate",
		"test/images/agnhost/porter/localhost.key": "key",
	} {
		m.write("tree/"+name, text)
	}
	m.git("init", "-q")
	m.commit()
	if tag != "" {
		m.git("tag", tag)
	}
	return m.path("tree")
}

func (m *machine) commit() string {
	m.t.Helper()
	m.git("add", ".")
	m.git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "x")
	return m.git("rev-parse", "HEAD")
}

func (m *machine) git(args ...string) string {
	m.t.Helper()
	out, err := exec.CommandContext(context.Background(), "git", append([]string{"-C", m.path("tree")}, args...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (m *machine) checkoutSpec(tag string) Spec {
	m.t.Helper()
	spec := m.spec()
	spec.Kubernetes, spec.Checkout = "", m.tree(tag)
	return spec
}

func TestCheckoutDigest(t *testing.T) {
	m := newMachine(t)
	spec := m.checkoutSpec("v1.36.4")
	seen := map[string]string{m.resolve(spec).Digest(): "the tree as it was"}
	if again := m.resolve(spec).Digest(); seen[again] == "" {
		t.Error("the same tree has two digests")
	}
	for _, change := range []struct{ name, file, text string }{
		{"a new file", "new.go", "package x"},
		{"another content of it", "new.go", "package y"},
		{"a changed file", "go.mod", "module k8s.io/kubernetes\n\ngo 1.26.1\n"},
	} {
		m.write("tree/"+change.file, change.text)
		got := m.resolve(spec).Digest()
		if other := seen[got]; other != "" {
			t.Errorf("%s has the digest of %s", change.name, other)
		}
		seen[got] = change.name
	}
	m.commit()
	if other := seen[m.resolve(spec).Digest()]; other != "" {
		t.Errorf("a commit has the digest of %s", other)
	}
}

func TestCheckoutVersion(t *testing.T) {
	m := newMachine(t)
	spec := m.checkoutSpec("v1.35.9")
	check := func(version, source, state string) {
		t.Helper()
		r := m.resolve(spec)
		kubelet, etcd, pause := r.program("kubelet"), r.program("etcd"), r.program("pause")
		got := []string{r.Kubernetes, kubelet.Version, kubelet.Source, etcd.Version, pause.Version}
		if diff := cmp.Diff([]string{"v1.35.4", version, source, "v3.6.6", "3.10.1"}, got); diff != "" {
			t.Error(diff)
		}
		minor := "35"
		if version != "v1.35.9" {
			minor = "35+" // as Kubernetes' own build says it
		}
		flags := strings.Fields(r.graph("kubernetes").LDFlags)
		for _, flag := range []string{"gitVersion=" + version, "gitTreeState=" + state, "gitMinor=" + minor, "gitCommit=" + m.git("rev-parse", "HEAD")} {
			if !slices.Contains(flags, "-X=k8s.io/component-base/version."+flag) {
				t.Errorf("no %s in %s", flag, r.graph("kubernetes").LDFlags)
			}
		}
	}
	first := m.git("rev-parse", "HEAD")
	check("v1.35.9", "checkout "+first, "clean")
	m.write("tree/new.go", "package x")
	check("v1.35.9-dirty", "checkout "+first+" with changes", "dirty")
	second := m.commit()
	check("v1.35.9-1+"+second[:14], "checkout "+second, "clean")
}

func TestCheckoutPicksTheTableEntry(t *testing.T) {
	for name, c := range map[string]struct{ tag, ask, want, says string }{
		"its own minor version":     {"v1.34.99", "", "v1.34.4", ""},
		"a pre-release":             {"v1.35.0-rc.1", "", "v1.35.4", ""},
		"newer than all":            {"v1.99.0-alpha.1", "", "v1.36.3", ""},
		"older than all":            {"v1.2.3", "", "", "the checkout is of Kubernetes v1.2"},
		"asked for another":         {"v1.34.99", "v1.33.13", "v1.33.13", ""},
		"asked for what is unknown": {"v1.34.99", "v9.9.9", "", "not known"},
		"no tag":                    {"", "", "v1.36.3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			spec := m.checkoutSpec(c.tag)
			spec.Kubernetes = c.ask
			r, err := Resolve(context.Background(), spec, m.env)
			if c.says != "" {
				var coded interface{ ExitCode() int }
				if err == nil || !strings.Contains(err.Error(), c.says) || !errors.As(err, &coded) || coded.ExitCode() != 2 {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || r.Kubernetes != c.want {
				t.Fatalf("got %+v, %v", r, err)
			}
			if want := "v1.36.3+" + m.git("rev-parse", "HEAD")[:14]; c.tag == "" && r.program("kubelet").Version != want {
				t.Errorf("kubelet is %s, want %s", r.program("kubelet").Version, want)
			}
		})
	}
}

func TestDescribedVersion(t *testing.T) {
	for text, want := range map[string]string{
		"v1.36.3":                            "v1.36.3",
		"v1.36.3-5-g0123456789abcd":          "v1.36.3-5+0123456789abcd",
		"v1.37.0-alpha.1":                    "v1.37.0-alpha.1",
		"v1.37.0-alpha.1-12-g0123456789abcd": "v1.37.0-alpha.1.12+0123456789abcd",
		"vendor-import":                      "",
		"v1.36.3-5-g0123456789abcd-and-more": "v1.36.3-5-g0123456789abcd-and-more",
	} {
		if got := describedVersion(text, false); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	if got := describedVersion("v1.36.3-5-g0123456789abcd", true); got != "v1.36.3-5+0123456789abcd-dirty" {
		t.Errorf("dirty: got %q", got)
	}
}

func TestCheckoutInAnotherTree(t *testing.T) {
	m := newMachine(t)
	m.tree("v1.36.4")
	m.write("tree/.gitignore", "/inner")
	m.write("tree/inner/go.mod", "module k8s.io/kubernetes\n")
	spec := m.spec()
	spec.Checkout = m.path("tree/inner")
	_, err := Resolve(context.Background(), spec, m.env)
	var refused *SpecError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "no git work tree of its own") {
		t.Errorf("got %v", err)
	}
}

// TestCheckoutChangeIsOneBuild sees that a changed file of the tree compiles
// Kubernetes again and nothing else.
func TestCheckoutChangeIsOneBuild(t *testing.T) {
	m, cache := newMachine(t), t.TempDir()
	spec := m.checkoutSpec("v1.36.4")
	_, manifest, _, _ := m.build(spec, cache)
	if c := manifest.Components[0]; c.Version != "v1.36.4" || !strings.HasPrefix(c.Source, "checkout ") {
		t.Errorf("manifest says %+v", c)
	}
	builds := m.calls("go", "build")
	if _, _, sandbox, log := m.build(spec, cache); m.calls("go", "build") != builds || len(sandbox.runs) > 0 || len(log.steps) > 0 {
		t.Errorf("nothing changed, but: %v %v", sandbox.runs, log.steps)
	}
	m.write("tree/new.go", "package x")
	_, _, sandbox, log := m.build(spec, cache)
	if diff := cmp.Diff([]string{"compiling kubernetes"}, log.steps); diff != "" || len(sandbox.runs) > 0 {
		t.Errorf("%s%v", diff, sandbox.runs)
	}
}

// TestCheckoutChangedMeanwhile sees that what was compiled of a tree that
// changed under the compiler is not kept.
func TestCheckoutChangedMeanwhile(t *testing.T) {
	m, cache := newMachine(t), t.TempDir()
	r := m.resolve(m.checkoutSpec("v1.36.4"))
	m.write("tree/new.go", "package x")
	_, _, err := Build(context.Background(), r, Options{CacheDir: cache, Sandbox: &fakeSandbox{}})
	if err == nil || !strings.Contains(err.Error(), "changed while it was built") {
		t.Errorf("got %v", err)
	}
}
