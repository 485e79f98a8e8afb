package cluster

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// running puts the machines of a cluster, with two nodes, into the engine.
func running(t *testing.T, p *providertest.Provider, cluster string) {
	t.Helper()
	label, err := facts{Runtime: "containerd"}.label()
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]nodespec.Role{
		cluster + "-control-plane-1": nodespec.RoleControlPlane,
		cluster + "-worker-1":        nodespec.RoleWorker,
		LoadBalancerName(cluster):    nodespec.RoleLoadBalancer,
	} {
		n, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: name, Image: testImage, Labels: map[string]string{
			nodespec.LabelCluster: cluster, nodespec.LabelRole: string(role), nodespec.LabelSpec: label,
		}})
		if err == nil {
			err = p.StartNode(t.Context(), n.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnly(t *testing.T) {
	p := engine(t)
	m := manager(t, p)
	only := func(name string) (string, error) { return m.Only(t.Context(), name) }
	if _, err := only(""); failure.Code(err) != failure.CodeUsage {
		t.Errorf("without clusters: %v", err)
	}
	running(t, p, "a")
	if name, err := only(""); name != "a" || err != nil {
		t.Errorf("with one: %q, %v", name, err)
	}
	running(t, p, "b")
	if name, err := only("b"); name != "b" || err != nil {
		t.Errorf("by name: %q, %v", name, err)
	}
	for _, name := range []string{"", "c"} {
		if _, err := only(name); failure.Code(err) != failure.CodeUsage || len(failure.Hints(err)) == 0 {
			t.Errorf("%q of two: %v", name, err)
		}
	}
}

// loads records which nodes an archive was imported into, and what they got.
type loads struct {
	sync.Mutex
	got map[string]string
}

func (l *loads) handle(_ context.Context, n provider.Node, cmd provider.Command) int {
	data, err := io.ReadAll(cmd.Stdin)
	if err != nil {
		return 1
	}
	l.Lock()
	defer l.Unlock()
	l.got[n.Name] = string(data)
	return 0
}

func TestLoadArchive(t *testing.T) {
	dir := t.TempDir()
	archive, empty := filepath.Join(dir, "archive"), filepath.Join(dir, "empty")
	for path, data := range map[string]string{archive: "images", empty: ""} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		path  string
		nodes []string
		into  []string
		err   string
	}{
		"all nodes":         {archive, nil, []string{"a-control-plane-1", "a-worker-1"}, ""},
		"one node":          {archive, []string{"a-worker-1"}, []string{"a-worker-1"}, ""},
		"the load balancer": {archive, []string{"a-worker-1", "a-lb"}, nil, "a-lb is the load balancer"},
		"no such node":      {archive, []string{"b-worker-1"}, nil, `no node "b-worker-1"`},
		"no such file":      {filepath.Join(dir, "none"), nil, nil, "no such file"},
		"an empty file":     {empty, nil, nil, "the file is empty"},
		"a folder":          {dir, nil, nil, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			p, l := engine(t), &loads{got: map[string]string{}}
			p.Handle = l.handle
			running(t, p, "a")
			running(t, p, "b")
			err := manager(t, p).LoadArchive(t.Context(), "a", tt.path, tt.nodes)
			if tt.err == "" && err != nil || tt.err != "" && (failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("err = %v, want %q", err, tt.err)
			}
			var into []string
			for node, data := range l.got {
				into = append(into, node)
				if data != "images" {
					t.Errorf("%s got %q", node, data)
				}
			}
			slices.Sort(into)
			if diff := cmp.Diff(tt.into, into); diff != "" {
				t.Errorf("loaded into (-want +got):\n%s", diff)
			}
		})
	}
}

func TestControlPlaneThatRuns(t *testing.T) {
	p := engine(t)
	running(t, p, "a")
	m := manager(t, p)
	if name, err := m.ControlPlane(t.Context(), "a"); err != nil || name != "a-control-plane-1" {
		t.Errorf("got %q, %v", name, err)
	}
	if err := p.StopNode(t.Context(), "a-control-plane-1", 0); err != nil {
		t.Fatal(err)
	}
	if name, err := m.ControlPlane(t.Context(), "a"); err == nil {
		t.Errorf("got %q, which is stopped", name)
	}
}
