package kluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kluster-project/kluster/configs/v1alpha1"
	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider/providertest"
)

// fakeEngine holds no clusters.
func fakeEngine(t *testing.T) *Engine {
	t.Helper()
	return &Engine{manager: cluster.New(providertest.New(), cluster.Options{Reporter: status.Discard, CacheDir: t.TempDir()})}
}

// TestOverdueFaultsAreBounded: whoever connects does not wait for nodes that do not answer.
func TestOverdueFaultsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, log := time.Now(), &strings.Builder{}
		undoOverdue(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, log)
		if d := time.Since(began); d != fault.OverdueTime || !strings.Contains(log.String(), "not within 30s") {
			t.Errorf("after %v: %s", d, log)
		}
	})
}

func TestWhatDoesNotExist(t *testing.T) {
	e, ctx := fakeEngine(t), t.Context()
	c := &Cluster{engine: e, name: "none"}
	for name, call := range map[string]func() error{
		"Open":              func() error { _, err := e.Open(ctx, "none"); return err },
		"Open of no name":   func() error { _, err := e.Open(ctx, ""); return err },
		"Delete of no name": func() error { return e.Delete(ctx, "") },
		"Kubeconfig":        func() error { _, err := c.Kubeconfig(ctx); return err },
		"RESTConfig":        func() error { _, err := c.RESTConfig(ctx); return err },
		"Nodes":             func() error { _, err := c.Nodes(ctx); return err },
		"Stop":              func() error { return c.Stop(ctx) },
		"StartNodes":        func() error { return c.StartNodes(ctx, "none-worker-1") },
		"AddNodes":          func() error { _, err := c.AddNodes(ctx, AddOptions{}); return err },
		"RemoveNodes":       func() error { return c.RemoveNodes(ctx, RemoveOptions{}, "none-worker-1") },
		"Fault": func() error {
			_, err := c.Fault(ctx, FaultSpec{Kind: FaultPause, Nodes: []string{"none-worker-1"}})
			return err
		},
		"WaitReady":     func() error { return c.WaitReady(ctx) },
		"WaitNodeReady": func() error { return c.WaitNodeReady(ctx, "none-worker-1") },
		"Exec":          func() error { _, err := c.Exec(ctx, "none-worker-1", "true"); return err },
	} {
		if err := call(); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v is not ErrNotFound", name, err)
		}
	}
	for name, call := range map[string]func() error{
		"Delete":              func() error { return c.Delete(ctx) },
		"WaitGone":            func() error { return c.WaitGone(ctx) },
		"StopNodes of none":   func() error { return c.StopNodes(ctx, StopOptions{}) },
		"RemoveNodes of none": func() error { return c.RemoveNodes(ctx, RemoveOptions{}) },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if names, err := e.Clusters(ctx); err != nil || len(names) != 0 {
		t.Errorf("clusters %q, %v", names, err)
	}
}

func TestConfigurations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	text := "apiVersion: kluster.dev/v1alpha1\nkind: Cluster\nname: filed\nnodes: [{role: control-plane}, {role: worker}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	workers := []v1alpha1.Node{{Role: "control-plane"}, {Role: "worker"}, {Role: "worker"}}
	for name, test := range map[string]struct {
		opt   CreateOptions
		want  string // name of the cluster
		nodes int
	}{
		"nothing":                 {CreateOptions{}, "kluster", 1},
		"fields":                  {CreateOptions{Name: "a", Nodes: 4}, "a", 4},
		"control planes, workers": {CreateOptions{ControlPlanes: 3, Workers: 2}, "kluster", 5},
		"a file":                  {CreateOptions{ConfigFile: file}, "filed", 2},
		"a field over a file":     {CreateOptions{ConfigFile: file, Name: "a"}, "a", 2},
		"a struct":                {CreateOptions{Config: &v1alpha1.Cluster{Name: "b", Nodes: workers}}, "b", 3},
		"patches in a struct": {CreateOptions{Config: &v1alpha1.Cluster{
			Patches: v1alpha1.Patches{Kubelet: "maxPods: 50"},
		}}, "kluster", 1},
	} {
		cfg, err := test.opt.resolve()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if cfg.Name != test.want || len(cfg.Nodes) != test.nodes {
			t.Errorf("%s: %s of %d nodes, want %s of %d", name, cfg.Name, len(cfg.Nodes), test.want, test.nodes)
		}
	}
}

func TestConfigurationsThatAreBad(t *testing.T) {
	for want, opt := range map[string]CreateOptions{
		"both Config and ConfigFile are given": {Config: &v1alpha1.Cluster{}, ConfigFile: "x"},
		"no such file":                         {ConfigFile: "/none/such.yaml"},
		"name":                                 {Name: "Not A Name"},
		"runtime":                              {Config: &v1alpha1.Cluster{Runtime: "rkt"}},
	} {
		_, err := opt.resolve()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestEveryKindOfFaultHasAName(t *testing.T) {
	named := []FaultKind{
		FaultKill, FaultPause, FaultPartition, FaultLatency, FaultLoss, FaultBandwidth, FaultDiskFull, FaultKillProcess, FaultCPU, FaultMemory,
	}
	for _, info := range fault.Kinds() {
		if !slices.Contains(named, FaultKind(info.Kind)) {
			t.Errorf("there is no constant for %q", info.Kind)
		}
	}
}
