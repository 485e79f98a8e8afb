package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

// Kluster is the binary under test with a kubeconfig file of its own.
type Kluster struct {
	Bin        string
	Kubeconfig string
	// Env are further variables, "K=V".
	Env []string
}

// New is the kluster under test with a new, not yet existing kubeconfig file in
// the spec's temporary folder.
func New() *Kluster {
	ginkgo.GinkgoHelper()
	bin, err := Binary()
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return &Kluster{Bin: bin, Kubeconfig: filepath.Join(ginkgo.GinkgoT().TempDir(), "kubeconfig")}
}

// Config are the arguments with which a create reads a configuration. Its file goes with
// the spec.
func Config(text string) []string {
	ginkgo.GinkgoHelper()
	file := filepath.Join(ginkgo.GinkgoT().TempDir(), "cluster.yaml")
	gomega.Expect(os.WriteFile(file, []byte(text), 0o600)).To(gomega.Succeed())
	return []string{"--config", file}
}

// Result is a command that has ended.
type Result struct {
	Args           []string
	Stdout, Stderr string
	// Code is the exit code; -1 when the command did not start or was killed
	// by a signal.
	Code int
	Took time.Duration
}

// String is the whole story, for failure messages.
func (r Result) String() string {
	return fmt.Sprintf("%s: exit code %d after %s\n--- stdout\n%s\n--- stderr\n%s",
		strings.Join(r.Args, " "), r.Code, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Decode reads stdout as one JSON document into v, which must name every field
// that it wants; others are ignored.
func (r Result) Decode(v any) {
	ginkgo.GinkgoHelper()
	gomega.Expect(json.Unmarshal([]byte(r.Stdout), v)).To(gomega.Succeed(), r.String())
}

// Lines are the lines of stdout.
func (r Result) Lines() []string {
	if text := strings.TrimSpace(r.Stdout); text != "" {
		return strings.Split(text, "\n")
	}
	return nil
}

// Run runs kluster and waits for it. When ctx ends it is interrupted, so that
// it can clean up, and killed a minute later.
func (k *Kluster) Run(ctx context.Context, args ...string) Result {
	return k.RunIn(ctx, nil, args...)
}

// RunIn is Run with something on stdin.
func (k *Kluster) RunIn(ctx context.Context, stdin io.Reader, args ...string) Result {
	p, err := k.Start(ctx, stdin, args...)
	if err != nil {
		return Result{Args: append([]string{k.Bin}, args...), Code: -1, Stderr: err.Error()}
	}
	return p.Wait()
}

// Must is Run for commands that have to succeed: it fails the spec if not.
func (k *Kluster) Must(ctx context.Context, args ...string) Result {
	ginkgo.GinkgoHelper()
	r := k.Run(ctx, args...)
	gomega.Expect(r.Code).To(gomega.Equal(0), r.String())
	return r
}

// Process is a kluster that runs.
type Process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	began          time.Time
}

// Start starts kluster; Wait must be called.
func (k *Kluster) Start(ctx context.Context, stdin io.Reader, args ...string) (*Process, error) {
	p := &Process{cmd: exec.CommandContext(ctx, k.Bin, args...), began: time.Now()}
	p.cmd.Env = append(append(os.Environ(), "KUBECONFIG="+k.Kubeconfig), k.Env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, &p.stdout, &p.stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(os.Interrupt) }
	p.cmd.WaitDelay = time.Minute
	return p, p.cmd.Start()
}

// Signal sends a signal to the process.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Wait waits for the end.
func (p *Process) Wait() Result {
	err := p.cmd.Wait()
	r := Result{
		Args: p.cmd.Args, Stdout: p.stdout.String(), Stderr: p.stderr.String(),
		Code: p.cmd.ProcessState.ExitCode(), Took: time.Since(p.began),
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		r.Stderr += "\n" + err.Error()
	}
	return r
}
