//go:build devbuild

package nodeimage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

type dockerCLI struct{ t *testing.T }

func load(ref string, img v1.Image) error {
	if exec.Command("docker", "image", "inspect", ref).Run() == nil {
		return nil
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(tarball.Write(tag, img, w)) }()
	cmd := exec.Command("docker", "load")
	cmd.Stdin = r
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (d dockerCLI) Run(ctx context.Context, run SandboxRun) error {
	h, err := run.Image.ConfigName()
	if err != nil {
		return err
	}
	ref := "t-nodeimage-" + run.Name + ":" + h.Hex[:12]
	start := time.Now()
	if err := load(ref, run.Image); err != nil {
		return err
	}
	d.t.Logf("load for %s %v", run.Name, time.Since(start))
	cname := "t-nodeimage-" + run.Name
	exec.Command("docker", "rm", "-fv", cname).Run()
	args := []string{"create", "--name", cname, "--network", "none", "--entrypoint", run.Args[0]}
	if run.System {
		args = append(args, "--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
			"--security-opt", "systempaths=unconfined", "--device-cgroup-rule", "a *:* rwm", "--cgroupns=private")
	}
	for _, e := range run.Env {
		args = append(args, "-e", e)
	}
	for h, p := range run.Mounts {
		args = append(args, "-v", h+":"+p+":ro")
	}
	for _, v := range run.Volumes {
		args = append(args, "--mount", "type=volume,dst="+v)
	}
	args = append(append(args, ref), run.Args[1:]...)
	if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	defer exec.Command("docker", "rm", "-fv", cname).Run()
	out, err := exec.CommandContext(ctx, "docker", "start", "-a", cname).CombinedOutput()
	d.t.Logf("%s: %s", run.Name, out)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	for p, w := range run.Outputs {
		cmd := exec.CommandContext(ctx, "docker", "cp", cname+":"+p, "-")
		var e bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &e
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%w: %s", err, e.String())
		}
	}
	return nil
}

type printer struct{}

func (printer) Start(name string, est time.Duration) func(error) {
	fmt.Printf("%s start %s est %v\n", time.Now().Format("15:04:05"), name, est)
	b := time.Now()
	return func(err error) {
		fmt.Printf("%s end %s %v %v\n", time.Now().Format("15:04:05"), name, time.Since(b), err)
	}
}
func (printer) Progress(d, t int64) { fmt.Println("progress", d, t) }

func TestDevBuild(t *testing.T) {
	ctx := context.Background()
	spec := Spec{Kubernetes: os.Getenv("K8S")}
	if _, err := os.Stat("/tmp/kluster-node"); err == nil {
		spec.NodeBinary = "/tmp/kluster-node"
	}
	start := time.Now()
	r, err := Resolve(ctx, spec, Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resolve %v", time.Since(start))
	img, m, err := Build(ctx, r, Options{Sandbox: dockerCLI{t}, Progress: printer{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("build %v", time.Since(start))
	data, _ := json.MarshalIndent(m, "", " ")
	os.WriteFile("/tmp/node-image-manifest.json", data, 0o644)
	start = time.Now()
	if err := load(r.Ref(), img); err != nil {
		t.Fatal(err)
	}
	t.Logf("load %s %v", r.Ref(), time.Since(start))
	os.WriteFile("/tmp/node-image-ref"+os.Getenv("K8S")+".txt", []byte(r.Ref()+"\n"), 0o644)
}
