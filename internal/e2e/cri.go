package e2e

import (
	"context"
	_ "embed" // of a script
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/runner"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/shell"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// criScript runs critest in a node, in the place of a program on the host: the
// runner gives it ginkgo's flags and finds ginkgo's report where it asked for it.
//
//go:embed cri.sh
var criScript string

// criFolder is where a node has critest: not below /run, whose files may not run.
const criFolder = "/opt/critest"

// makeCRI compiles critest, or finds it in the cache. Its specs are listed on the
// host, and run in the node once there is one.
func (r *run) makeCRI(ctx context.Context, shown status.Step) error {
	release, err := nodeimage.UseCache(ctx, r.CacheDir)
	if err != nil {
		return err
	}
	r.later(release)
	built, err := nodeimage.BuildCRITests(ctx, nodeimage.Options{CacheDir: r.CacheDir, Progress: shown})
	if err != nil {
		return err
	}
	for _, p := range built.Parts {
		r.parts = append(r.parts, partOf(p))
	}
	r.programs = []program{{Program: runner.Program{Path: filepath.Join(built.Dir, nodeimage.PartCRI)}}}
	return nil
}

// leaveOut takes what the suite leaves out off a program's plan, and keeps it for the
// report.
func (r *run) leaveOut(p *program) {
	if len(r.suite.LeftOut) == 0 {
		return
	}
	var left []runner.Spec
	for _, s := range p.plan.Specs {
		reason := r.suite.WhyLeftOut(s.Name)
		if reason == "" {
			left = append(left, s)
			continue
		}
		r.leftOut = append(r.leftOut, report.Spec{Name: s.Name, Labels: s.Labels, State: report.Skipped, LeftOut: reason})
	}
	p.plan.Specs = left
}

// vacate gives specs of the container runtime a node with nothing else on it: the
// kubelet ends, and all pods go.
func (r *run) vacate(ctx context.Context, _ status.Step) (err error) {
	if r.suite.Program != plan.CRI {
		return nil
	}
	shown := r.Reporter.Step("node for the container runtime alone", 0)
	defer func() { shown.End(err) }()
	t := r.clusters[0]
	node := t.facts.Nodes[0]
	runtime, ok := cri.Reported(node.Runtime)
	if !ok {
		return fmt.Errorf("node %s has the container runtime %s, which is none of kluster's", node.Name, node.Runtime)
	}
	critest, err := os.Open(r.programs[0].Path)
	if err != nil {
		return fmt.Errorf("reading critest: %w", err)
	}
	defer critest.Close()
	pods := shell.Join(runtime.Debug)
	for _, command := range []struct {
		what, script string
		in           io.Reader
	}{
		{"stopping the kubelet of", "systemctl stop kubelet", nil},
		{"removing the pods of", fmt.Sprintf("%[1]s rmp --all --force && test -z \"$(%[1]s pods --quiet)\"", pods), nil},
		{"copying critest to", fmt.Sprintf("mkdir -p %[1]s && cat > %[1]s/critest.test && chmod 755 %[1]s/critest.test", criFolder), critest},
	} {
		var out strings.Builder
		cmd := provider.Command{Args: []string{"sh", "-c", command.script}, Stdin: command.in, Stdout: &out, Stderr: &out}
		if err := r.Clusters.Exec(ctx, t.name, node.Name, cmd); err != nil {
			return fmt.Errorf("%s %s: %w (%s)", command.what, node.Name, err, strings.TrimSpace(out.String()))
		}
	}
	return r.throughNode(t.name, node.Name, runtime)
}

// placeCRIImages gives the cluster the images that critest pulls, and names them in
// the report.
func (r *run) placeCRIImages(ctx context.Context) error {
	for _, t := range r.clusters {
		images, err := r.Clusters.PrepareCRI(ctx, t.name)
		if err != nil {
			return err
		}
		for _, image := range images {
			r.notePart(report.Part{Name: image.Ref, Digest: image.ID, StandIn: image.StandIn})
		}
	}
	return nil
}

// scriptOf is the script for a command that runs another in a node, and for the
// folder there.
func scriptOf(exec []string, dir string) string {
	return strings.NewReplacer("@EXEC@", shell.Join(exec), "@DIR@", dir).Replace(criScript)
}

// throughNode makes the program one that runs in a node.
func (r *run) throughNode(cluster, node string, runtime cri.Runtime) error {
	dir, err := r.tempDir()
	if err != nil {
		return err
	}
	script := scriptOf([]string{r.Binary, "exec", "--quiet", "--cluster", cluster, node, "--"}, criFolder)
	p := &r.programs[0]
	p.Path = filepath.Join(dir, nodeimage.PartCRI)
	p.Args = []string{"--runtime-endpoint=" + runtime.Socket, "--image-endpoint=" + runtime.Socket}
	if err := os.WriteFile(p.Path, []byte(script), 0o755); err != nil {
		return fmt.Errorf("writing a script that runs critest: %w", err)
	}
	return nil
}
