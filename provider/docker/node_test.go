package docker

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest/program"
)

// TestSystemNode starts a node with everything that systemd needs, on an engine
// that may itself lack capabilities.
func TestSystemNode(t *testing.T) {
	p, spec := withImage(t, "system")
	spec.System, spec.Restart, spec.Volumes = true, true, []string{"/var/lib/data"}
	spec.CPUs, spec.Memory = 0.5, 64<<20
	node, err := p.CreateNode(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.StartNode(t.Context(), node.ID); err != nil {
		t.Fatal(err)
	}
	status := output(t, p, node.ID, "file", "/proc/self/status")
	last := output(t, p, node.ID, "file", "/proc/sys/kernel/cap_last_cap")
	got, err := parseMissing([]byte(status), []byte(last))
	if err != nil {
		t.Fatal(err)
	}
	host, err := p.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Engine 20.10 knows no capability after AUDIT_READ, so its nodes lack those.
	got = slices.DeleteFunc(got, func(name string) bool {
		return capNumber(name) > capNumber("CAP_AUDIT_READ")
	})
	slices.Sort(got)
	if diff := cmp.Diff(union(host.MissingCaps, withheldCaps()), got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("capabilities that the node lacks (-engine lacks or we withhold +node lacks):\n%s", diff)
	}
	if got := output(t, p, node.ID, "env", "container"); got != "docker\n" {
		t.Errorf("container is %q", got)
	}
}

// TestConfinedNode: its program has no capability, whoever it is, and gets none.
func TestConfinedNode(t *testing.T) {
	p, spec := withImage(t, "confined")
	spec.Confined, spec.User = true, "65534:65534"
	node, err := p.CreateNode(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.StartNode(t.Context(), node.ID); err != nil {
		t.Fatal(err)
	}
	status := []byte(output(t, p, node.ID, "file", "/proc/self/status"))
	for field, want := range map[string]string{"CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1", "Uid": "65534\t65534\t65534\t65534"} {
		if got, _ := statusField(status, field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
}

func capNumber(name string) int {
	return slices.IndexFunc(capabilities, func(c capability) bool { return "CAP_"+c.name == name })
}

// TestUnknownCapDropped asks a real engine to drop one that it does not know.
func TestUnknownCapDropped(t *testing.T) {
	p, spec := withImage(t, "caps")
	req, err := newRequest(spec)
	if err != nil {
		t.Fatal(err)
	}
	req.host.CapDrop = []string{"CAP_CHOWN", "CAP_OF_TOMORROW"}
	if _, err := p.create(t.Context(), spec.Name, req); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"CAP_CHOWN"}, []string(req.host.CapDrop)); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
}

// TestExecMissingCommand checks that the runtime's own failure is the command's.
func TestExecMissingCommand(t *testing.T) {
	p, node := startedNode(t, "missing")
	err := p.Exec(t.Context(), node.ID, provider.Command{Args: []string{"/no/such"}})
	var failed *provider.ExecError
	if !errors.As(err, &failed) || failed.Code != 126 && failed.Code != 127 || !strings.Contains(failed.Output, "/no/such") {
		t.Errorf("got %v", err)
	}
}

// TestExecTerminal runs a command on a terminal, which turns \n into \r\n.
func TestExecTerminal(t *testing.T) {
	p, node := startedNode(t, "tty")
	var stdout bytes.Buffer
	err := p.Exec(t.Context(), node.ID, provider.Command{
		Args: []string{program.Path, "echo", "hello"}, Stdout: &stdout, TTY: true, Cols: 80, Rows: 24,
		Resize: make(chan [2]uint),
	})
	if err != nil || stdout.String() != "hello\r\n" {
		t.Errorf("got %q and error %v", stdout.String(), err)
	}
}

// withImage gives the least spec of a node of that name, whose image is loaded;
// the image and what is made with the spec's labels go with the test.
func withImage(t *testing.T, name string) (*Provider, provider.NodeSpec) {
	t.Helper()
	p := newProvider(t)
	ref, sel := testPrefix+name+":1", provider.Selector{"io.kluster.test": testPrefix + name}
	if err := p.LoadImage(t.Context(), ref, testImage(t), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(p.Remove(ctx, sel), p.RemoveImage(ctx, ref)); err != nil {
			t.Error(err)
		}
	})
	return p, provider.NodeSpec{Name: testPrefix + name, Image: ref, Labels: sel}
}

// startedNode makes and starts an ordinary node, which goes with the test.
func startedNode(t *testing.T, name string) (*Provider, provider.Node) {
	t.Helper()
	p, spec := withImage(t, name)
	node, err := p.CreateNode(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.StartNode(t.Context(), node.ID); err != nil {
		t.Fatal(err)
	}
	return p, node
}

// output runs the contract's program in a node.
func output(t *testing.T, p *Provider, id string, args ...string) string {
	t.Helper()
	var stdout bytes.Buffer
	cmd := provider.Command{Args: append([]string{program.Path}, args...), Stdout: &stdout}
	if err := p.Exec(t.Context(), id, cmd); err != nil {
		t.Fatal(err)
	}
	return stdout.String()
}
