package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/kubeconfig"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// withEntry makes a kubeconfig that holds a cluster's entry.
func withEntry(t *testing.T, path, cluster string) {
	t.Helper()
	conf, err := kubeconfig.Render(kubeconfig.Entry{Name: ContextName(cluster), Server: "https://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kubeconfig.Merge(t.Context(), path, conf); err != nil {
		t.Fatal(err)
	}
}

func holdsEntry(t *testing.T, path, cluster string) bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(data), ContextName(cluster))
}

// madeWith puts a node into the engine whose cluster's entry went into path.
func madeWith(t *testing.T, p *providertest.Provider, cluster, path string) {
	t.Helper()
	label, err := facts{Kubeconfig: path}.label()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.CreateNode(t.Context(), provider.NodeSpec{
		Name: LoadBalancerName(cluster), Image: testImage,
		Labels: map[string]string{nodespec.LabelCluster: cluster, nodespec.LabelSpec: label},
	}); err != nil {
		t.Fatal(err)
	}
}

func TestDeleteRemovesTheEntryWhereverItIs(t *testing.T) {
	home := t.TempDir()
	usual, told, explicit := filepath.Join(home, ".kube", "config"), filepath.Join(home, "told"), filepath.Join(home, "explicit")
	t.Setenv("HOME", home)
	t.Setenv("KUBECONFIG", "")
	for name, tt := range map[string]struct {
		explicit string
		kept     []string
	}{
		"by name":           {"", []string{explicit}},
		"with --kubeconfig": {explicit, []string{usual}},
	} {
		t.Run(name, func(t *testing.T) {
			p := engine(t)
			madeWith(t, p, "c", told)
			for _, path := range []string{usual, told, explicit} {
				withEntry(t, path, "c")
				withEntry(t, path, "other")
			}
			if _, err := manager(t, p).Delete(t.Context(), "c", tt.explicit); err != nil {
				t.Fatal(err)
			}
			var kept []string
			for _, path := range []string{usual, told, explicit} {
				if holdsEntry(t, path, "c") {
					kept = append(kept, path)
				}
				if !holdsEntry(t, path, "other") {
					t.Errorf("%s lost another cluster's entry", path)
				}
			}
			if diff := cmp.Diff(tt.kept, kept); diff != "" {
				t.Errorf("files that keep the entry (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeleteDoesNotBringAKubeconfigBack(t *testing.T) {
	p := engine(t)
	dir := filepath.Join(t.TempDir(), "gone")
	t.Setenv("HOME", dir)
	t.Setenv("KUBECONFIG", "")
	madeWith(t, p, "c", filepath.Join(dir, "config"))
	if existed, err := manager(t, p).Delete(t.Context(), "c", ""); err != nil || !existed {
		t.Errorf("existed %v, %v", existed, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is back: %v", err)
	}
}

func TestDeleteWithoutAHome(t *testing.T) {
	p := engine(t)
	told := filepath.Join(t.TempDir(), "config")
	t.Setenv("HOME", "")
	t.Setenv("KUBECONFIG", "")
	withEntry(t, told, "c")
	madeWith(t, p, "c", told)
	if _, err := manager(t, p).Delete(t.Context(), "c", ""); err != nil {
		t.Error(err)
	}
	if holdsEntry(t, told, "c") || len(leftovers(t, p, "c")) > 0 {
		t.Error("something is left")
	}
}

// A second delete finds no node that would tell of the file.
func TestDeleteThatFailsRemovesTheEntry(t *testing.T) {
	p := engine(t)
	told := filepath.Join(t.TempDir(), "config")
	withEntry(t, told, "c")
	madeWith(t, p, "c", told)
	broken := errors.New("broken")
	p.Fail = func(op, _ string) error {
		if op == "Remove" {
			return broken
		}
		return nil
	}
	if _, err := manager(t, p).Delete(t.Context(), "c", told); !errors.Is(err, broken) {
		t.Errorf("err = %v", err)
	}
	if holdsEntry(t, told, "c") {
		t.Error("the entry is left")
	}
}

func TestCreateRecordsItsKubeconfig(t *testing.T) {
	p := engine(t)
	opt := wanted(t, "c", 2)
	opt.Retain = true
	t.Chdir(filepath.Dir(opt.Kubeconfig))
	want := opt.Kubeconfig
	opt.Kubeconfig = filepath.Base(want)
	if _, err := manager(t, p).Create(t.Context(), opt); err == nil {
		t.Fatal("created on a fake engine")
	}
	nodes, err := p.Nodes(t.Context(), provider.Selector{nodespec.LabelCluster: "c"})
	if err != nil || len(nodes) != 3 {
		t.Fatalf("nodes %v, %v", nodes, err)
	}
	for _, n := range nodes {
		if f, err := factsOf([]provider.Node{n}); err != nil || f.Kubeconfig != want {
			t.Errorf("%s: kubeconfig %q, %v; want %q", n.Name, f.Kubeconfig, err, want)
		}
	}
}

func TestRollbackLeavesAnEntryThatItDidNotMake(t *testing.T) {
	p := engine(t)
	opt := wanted(t, "c", 1)
	withEntry(t, opt.Kubeconfig, "c")
	if _, err := manager(t, p).Create(t.Context(), opt); err == nil {
		t.Fatal("created on a fake engine")
	}
	if !holdsEntry(t, opt.Kubeconfig, "c") {
		t.Error("the entry is gone")
	}
}

func TestRollbackTakesItsEntryBack(t *testing.T) {
	p := engine(t)
	opt := wanted(t, "c", 1)
	withEntry(t, opt.Kubeconfig, "c")
	c := &creation{m: manager(t, p), cfg: opt.Config, id: "x", kubeconfig: opt.Kubeconfig, merged: true}
	if err := c.rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if holdsEntry(t, opt.Kubeconfig, "c") {
		t.Error("the entry is left")
	}
}

func TestCreateFindsABadKubeconfigFirst(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(broken, []byte("clusters: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", "")
	t.Setenv("KUBECONFIG", "")
	for name, path := range map[string]string{"a folder": t.TempDir(), "broken": broken, "no home": ""} {
		t.Run(name, func(t *testing.T) {
			p := engine(t)
			p.Fail = func(op, name string) error {
				if op == "CreateNode" || op == "CreateNetwork" {
					t.Errorf("%s %s was called", op, name)
				}
				return nil
			}
			opt := wanted(t, "c", 1)
			opt.Kubeconfig = path
			_, err := manager(t, p).Create(t.Context(), opt)
			if failure.Code(err) != failure.CodeUsage || !strings.HasPrefix(err.Error(), "host: ") || !strings.Contains(err.Error(), path) {
				t.Errorf("err = %v", err)
			}
		})
	}
}
