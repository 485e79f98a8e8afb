package e2e

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

func criSuite(t *testing.T) plan.Suite {
	t.Helper()
	table, err := plan.Load()
	if err != nil {
		t.Fatal(err)
	}
	suite, err := table.Find("cri")
	if err != nil {
		t.Fatal(err)
	}
	return suite
}

// criSpecs are specs of critest, with a word of the reason of those that are left out.
var criSpecs = map[string]string{
	"[k8s.io] AppArmor runtime should support apparmor field should fail with an unloaded apparmor_profile":                           "AppArmor",
	"[k8s.io] Container runtime should support basic operations on container runtime should support creating container [Conformance]": "",
	"[k8s.io] Image Manager public image with digest should be pulled and removed [Conformance]":                                      "digest",
	"[k8s.io] Image Manager public image without tag should be pulled and removed [Conformance]":                                      "",
	"[k8s.io] Security Context NamespaceOption runtime should support HostPID":                                                        "",
	"[k8s.io] Security Context NoNewPrivs should not allow privilege escalation when true":                                            "",
}

func TestWhatCRILeavesOutIsInTheReport(t *testing.T) {
	r := &run{suite: criSuite(t)}
	p := &program{}
	for name := range criSpecs {
		p.plan.Specs = append(p.plan.Specs, runner.Spec{Name: name})
	}
	r.leaveOut(p)
	for _, name := range p.plan.Names() {
		if criSpecs[name] != "" {
			t.Errorf("%s is run", name)
		}
	}
	if len(p.plan.Specs)+len(r.leftOut) != len(criSpecs) {
		t.Errorf("some are lost: %v, %v", p.plan.Specs, r.leftOut)
	}
	for _, s := range r.leftOut {
		if want := criSpecs[s.Name]; want == "" || !strings.Contains(s.LeftOut, want) || s.State != report.Skipped {
			t.Errorf("%+v, want %q", s, want)
		}
	}
	rep := &report.Report{Specs: append(r.leftOut, report.Spec{Name: "x", State: report.Passed})}
	if s := rep.Summarize(); s.Verdict != report.VerdictOK || s.Passed != 1 || s.Skipped != len(r.leftOut) {
		t.Errorf("%+v", s)
	}
}

// nodeCommands are clusters whose nodes write down what they are told.
type nodeCommands struct {
	Clusters
	told []string
	in   map[string]int // bytes of input
	fail string
}

func (n *nodeCommands) Exec(_ context.Context, cluster, node string, cmd provider.Command) error {
	script := cmd.Args[len(cmd.Args)-1]
	n.told = append(n.told, cluster+"/"+node+": "+script)
	if cmd.Stdin != nil {
		data, err := io.ReadAll(cmd.Stdin)
		if err != nil {
			return err
		}
		n.in[script] = len(data)
	}
	if n.fail != "" && strings.Contains(script, n.fail) {
		_, _ = io.WriteString(cmd.Stderr, "it will not")
		return errors.New("exit status 1")
	}
	return nil
}

// criClusters are clusters that say which images they were given.
type criClusters struct {
	Clusters
	err error
}

func (c criClusters) PrepareCRI(context.Context, string) ([]cluster.PlacedImage, error) {
	return []cluster.PlacedImage{{Ref: "r.example/a:1", ID: "sha256:1", StandIn: "another one"}}, c.err
}

func TestImagesOfCRIAreInTheReport(t *testing.T) {
	for _, fail := range []error{nil, errors.New("broken")} {
		r := (&Runner{Clusters: criClusters{err: fail}, Reporter: status.Discard}).newRun(Options{})
		r.suite, r.clusters = criSuite(t), []*target{{name: "c"}}
		err := r.placeImages(t.Context(), status.Discard)
		if !errors.Is(err, fail) {
			t.Errorf("%v, want %v", err, fail)
		}
		want := []report.Part{{Name: "r.example/a:1", Digest: "sha256:1", StandIn: "another one"}}
		if diff := cmp.Diff(want, r.parts); fail == nil && diff != "" {
			t.Error(diff)
		}
	}
}

func TestANodeForTheRuntimeAlone(t *testing.T) {
	critest := filepath.Join(t.TempDir(), "critest.test")
	if err := os.WriteFile(critest, []byte("12345"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, fail := range []string{"", "rmp"} {
		nodes := &nodeCommands{in: map[string]int{}, fail: fail}
		r := (&Runner{Clusters: nodes, Reporter: status.Discard, Binary: "/bin/kluster"}).newRun(Options{})
		defer r.clean()
		r.suite, r.version = criSuite(t), "v1.36.3"
		r.programs = []program{{Program: runner.Program{Path: critest}}}
		r.clusters = []*target{{name: "c", facts: report.Cluster{Nodes: []report.Node{{Name: "n", Runtime: "cri-o://1.36.1"}}}}}
		err := r.vacate(t.Context(), status.Discard)
		if fail != "" {
			if err == nil || !strings.Contains(err.Error(), "removing the pods of n") || !strings.Contains(err.Error(), "it will not") {
				t.Errorf("%v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(nodes.told) != 3 || nodes.told[0] != "c/n: systemctl stop kubelet" || !strings.Contains(nodes.told[1], "crictl --runtime-endpoint unix:///var/run/crio/crio.sock rmp --all --force") {
			t.Errorf("%q", nodes.told)
		}
		if diff := cmp.Diff(map[string]int{strings.TrimPrefix(nodes.told[2], "c/n: "): 5}, nodes.in); diff != "" {
			t.Error(diff)
		}
		p := r.programs[0]
		if p.Path == critest || filepath.Base(p.Path) != "critest.test" || len(p.Args) != 2 || p.Args[0] != "--runtime-endpoint=unix:///var/run/crio/crio.sock" {
			t.Errorf("%+v", p)
		}
	}
}

// TestScriptBringsTheReport: critest gets the arguments, and its report and exit code
// come back.
func TestScriptBringsTheReport(t *testing.T) {
	dir, node := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "kluster"), "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n")
	write(filepath.Join(node, "critest.test"), "#!/bin/sh\nfor a do echo \"<$a>\"; case $a in --ginkgo.json-report=*) echo '[]' > \"${a#*=}\";; esac; done\nexit 7\n")
	script := filepath.Join(dir, "critest.test")
	write(script, scriptOf([]string{filepath.Join(dir, "kluster"), "exec", "--cluster", "c", "n", "--"}, node))
	host := filepath.Join(dir, "report of the host.json")
	out, err := exec.CommandContext(t.Context(), script, "--ginkgo.v", "--ginkgo.json-report="+host, "--ginkgo.focus=a b").Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
		t.Errorf("%v", err)
	}
	if want := "<--ginkgo.v>\n<--ginkgo.json-report=" + node + "/report.json>\n<--ginkgo.focus=a b>\n"; string(out) != want {
		t.Errorf("critest was told %s, want %s", out, want)
	}
	if text, err := os.ReadFile(host); err != nil || string(text) != "[]\n" {
		t.Errorf("report %q, %v", text, err)
	}
}
