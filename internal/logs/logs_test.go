package logs

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// running gives an engine with one running node whose commands print their name.
func running(t *testing.T) (*providertest.Provider, provider.Node) {
	t.Helper()
	p := providertest.New()
	p.Handle = func(_ context.Context, _ provider.Node, cmd provider.Command) int {
		if cmd.Args[0] == "crictl" {
			return 1
		}
		_, _ = io.WriteString(cmd.Stdout, "output of "+cmd.Args[0])
		return 0
	}
	p.Boot = func(provider.Node) string { return "node is prepared\n" }
	img, err := providertest.Image([]byte("node"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.LoadImage(t.Context(), "i:1", img, nil); err != nil {
		t.Fatal(err)
	}
	n, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: "n", Image: "i:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.StartNode(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
	n.State = provider.StateRunning
	return p, n
}

func TestCollectTakesWhatItCan(t *testing.T) {
	p, n := running(t)
	dir := t.TempDir()
	err := Collect(t.Context(), p, []provider.Node{n}, dir)
	if err == nil || !strings.Contains(err.Error(), "crictl") {
		t.Errorf("the error does not name what failed: %v", err)
	}
	for file, want := range map[string]string{
		"console.log": "node is prepared", "journal.log": "output of journalctl", "pods.log": "output of sh",
	} {
		got, err := os.ReadFile(filepath.Join(dir, "n", file))
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "n", "journal.log"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("journal.log: %v, %v", info, err)
	}
}

func TestCollectOfAStoppedNode(t *testing.T) {
	p, n := running(t)
	n.State = provider.StateStopped
	dir := t.TempDir()
	if err := Collect(t.Context(), p, []provider.Node{n}, dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "n"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "console.log" {
		t.Errorf("entries %v, %v", entries, err)
	}
}
