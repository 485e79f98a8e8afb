package bench

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func pemOf(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func TestCommands(t *testing.T) {
	kluster := Kluster("kluster", "image", "probe", "add worker --cluster NAME")
	kind := Kind("kind", "kindest/node:v1", "")
	for name, test := range map[string]struct {
		got  Command
		want string
	}{
		"kluster create": {
			kluster.Create(Cases[3], "x", "f"),
			"kluster create --name x --kubeconfig f --output json --control-planes 3 --workers 3",
		},
		"kluster delete": {kluster.Delete("x", "f"), "kluster delete x --kubeconfig f"},
		"kluster add":    {kluster.AddWorker("x", "f"), "kluster add worker --cluster x"},
		"kind create": {
			kind.Create(Cases[1], "x", "f"),
			"kind create cluster --name x --image kindest/node:v1 --kubeconfig f --config -",
		},
		"kind delete": {kind.Delete("x", "f"), "kind delete cluster --name x --kubeconfig f"},
	} {
		if got := test.got.Program + " " + strings.Join(test.got.Args, " "); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	want := "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n- role: worker\n- role: worker\n"
	if diff := cmp.Diff(want, kind.Create(Cases[1], "x", "f").Stdin); diff != "" {
		t.Errorf("kind's configuration: -want +got:\n%s", diff)
	}
	if Kluster("kluster", "image", "probe", "").AddWorker != nil {
		t.Error("a verb was made of no words")
	}
}

const testManifest = `{"images": [{"ref": "registry.k8s.io/pause:3.10"}, {"ref": "registry.k8s.io/e2e-test-images/busybox:1"}]}`

// prepared runs Prepare on an engine with both images.
func prepared(t *testing.T, w Wanted, edit func(*fakeEngine)) (*Report, []Tool, error) {
	t.Helper()
	e := newFakeEngine()
	e.images["kluster/node:v1"] = Image{Size: 10, Labels: map[string]string{
		nodespec.LabelManifest: testManifest, nodespec.LabelKubernetes: "v1.36.3",
	}}
	e.images["kindest/node:v1"] = Image{Size: 20}
	if edit != nil {
		edit(e)
	}
	exec := func(_ context.Context, c Command) (Outcome, error) {
		if diff := cmp.Diff([]string{"DOCKER_HOST=x"}, c.Env); diff != "" {
			t.Errorf("environment of %s: %s", c.Program, diff)
		}
		switch strings.Join(c.Args, " ") {
		case "version --output json":
			return Outcome{Stdout: `{"version": "v0.2.0", "commit": "0123abc"}`}, nil
		case "build node-image":
			return Outcome{Stdout: "kluster/node:v1\n"}, nil
		case "version":
			return Outcome{Stdout: "kind v0.33.0 go1.26\n"}, nil
		}
		return Outcome{}, errors.New("unknown verb")
	}
	w.Env = []string{"DOCKER_HOST=x"}
	return Prepare(t.Context(), e, exec, w)
}

func TestPrepare(t *testing.T) {
	r, tools, err := prepared(t, Wanted{Kluster: "kluster", Kind: "kind", KindImage: "kindest/node:v1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Versions{Kubernetes: "v1.36.3", Kluster: "v0.2.0", Image: "kluster/node:v1", Kind: "kind v0.33.0 go1.26", KindImage: "kindest/node:v1"}
	if diff := cmp.Diff(want, r.Versions); diff != "" {
		t.Errorf("versions: -want +got:\n%s", diff)
	}
	if r.ImageBytes != 10 || r.KindImageBytes != 20 || r.Commit != "0123abc" || r.KindNote != "" || r.Machine.CPU == "" {
		t.Errorf("got %+v", r)
	}
	if len(tools) != 2 || tools[0].ProbeImage != "registry.k8s.io/e2e-test-images/busybox:1" || tools[1].ProbeImage != "" {
		t.Errorf("tools: %+v", tools)
	}
}

func TestPrepareWithoutKind(t *testing.T) {
	r, tools, err := prepared(t, Wanted{Kluster: "kluster"}, nil)
	if err != nil || len(tools) != 1 || !strings.Contains(r.KindNote, "recorded") {
		t.Errorf("got %v, %d tools, note %q", err, len(tools), r.KindNote)
	}
}

func TestPrepareFails(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*fakeEngine)
		want string
	}{
		"no image":      {func(e *fakeEngine) { delete(e.images, "kluster/node:v1") }, "no image kluster/node:v1"},
		"no kind image": {func(e *fakeEngine) { delete(e.images, "kindest/node:v1") }, "kind's node image"},
		"no manifest":   {func(e *fakeEngine) { e.images["kluster/node:v1"] = Image{} }, "manifest"},
	} {
		_, _, err := prepared(t, Wanted{Kluster: "kluster", Kind: "kind", KindImage: "kindest/node:v1"}, test.edit)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestExec(t *testing.T) {
	out, err := Exec(t.Context(), Command{Program: "/bin/sh", Args: []string{"-c", `read x; echo "$x $WHO"`}, Env: []string{"WHO=you"}, Stdin: "hello\n"})
	if err != nil || out.Stdout != "hello you\n" || out.Took <= 0 {
		t.Errorf("got %+v, %v", out, err)
	}
	_, err = Exec(t.Context(), Command{Program: "/bin/sh", Args: []string{"-c", "echo no privileged containers >&2; exit 5"}})
	if err == nil || !strings.Contains(err.Error(), "exit status 5: no privileged containers") {
		t.Errorf("got %v", err)
	}
}

// TestExecInterrupts sees that a tool whose time is over is asked to stop, and
// may clean up.
func TestExecInterrupts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pipe := filepath.Join(t.TempDir(), "ready")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if _, err := os.ReadFile(pipe); err != nil { // waits for the script to be ready
			t.Error(err)
		}
		cancel()
	}()
	script := `trap 'echo cleaned up; exit 1' INT; : > "$PIPE"; while :; do sleep 0.01; done`
	out, err := Exec(ctx, Command{Program: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PIPE=" + pipe}})
	if err == nil || out.Stdout != "cleaned up\n" {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestTail(t *testing.T) {
	if got := tail(" short \n"); got != "short" {
		t.Errorf("got %q", got)
	}
	if got := tail(strings.Repeat("x", 5*tailLength) + "end"); len(got) > tailLength+4 || !strings.HasSuffix(got, "end") {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestCPUModel(t *testing.T) {
	if got := cpuModel("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: other\n"); got != "Some CPU @ 2 GHz" {
		t.Errorf("got %q", got)
	}
	if got := cpuModel(""); got == "" {
		t.Error("a machine without a model has no name")
	}
}
