package cluster

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// servedIn serves an archive in the node of a cluster that has a runtime, and gives
// what the node was told to run.
func servedIn(t *testing.T, runtime string, handle func(command string) int) (read func(string) (string, error), told []string, err error) {
	t.Helper()
	p, r := withRegistry(t, "sha256:1")
	p.Handle = func(_ context.Context, _ provider.Node, cmd provider.Command) int {
		told = append(told, strings.Join(cmd.Args, " "))
		return handle(told[len(told)-1])
	}
	i := slices.IndexFunc(r.nodes, func(n provider.Node) bool { return n.Name == "c-control-plane-1" })
	node := r.nodes[i]
	label, err := facts{Runtime: runtime}.label()
	if err != nil {
		t.Fatal(err)
	}
	node.Labels[nodespec.LabelSpec] = label
	err = r.m.serveInNode(t.Context(), node, r.images, []string{"gcr.io", "registry.k8s.io"})
	return func(name string) (string, error) {
		text, err := p.ReadFile(node.ID, name)
		return string(text), err
	}, told, err
}

func TestANodeServesItself(t *testing.T) {
	for _, runtime := range []string{"containerd", "cri-o", "cri-dockerd"} {
		asked := 0
		read, told, err := servedIn(t, runtime, func(command string) int {
			if asked++; strings.HasPrefix(command, "curl") && asked < 7 {
				return 7 // it is not up yet
			}
			return 0
		})
		if err != nil {
			t.Fatal(err)
		}
		if text, err := read(registryFolder + "/index.json"); err != nil || text != "sha256:1" {
			t.Errorf("%s: it serves %q, %v", runtime, text, err)
		}
		if text, err := read(nodespec.MirrorsDir + "/10-cluster.json"); err != nil || !strings.Contains(text, "127.0.0.1:80") {
			t.Errorf("%s: its mirrors are %q, %v", runtime, text, err)
		}
		want := []string{
			`sh -c echo '127.0.0.1 gcr.io registry.k8s.io' >> /etc/hosts`,
			"/usr/local/bin/kluster-node mirrors",
			"systemd-run --quiet --unit kluster-registry.service /usr/local/bin/kluster-node registry /srv 127.0.0.1:80",
			"curl --silent --show-error --fail --max-time 2 --noproxy * http://127.0.0.1:80/v2/",
			"systemctl is-active --quiet kluster-registry.service",
		}
		if len(told) < len(want) || !slices.Equal(told[:len(want)], want) || told[len(told)-1] != want[3] {
			t.Errorf("%s: it was told %q", runtime, told)
		}
	}
}

func TestANodeThatCannotServeItself(t *testing.T) {
	for says, fail := range map[string][]string{
		"naming the node as the registries": {"sh"},
		"starting it":                       {"systemd-run"},
		"kluster exec c-control-plane-1 -- journalctl --unit klus": {"curl", "systemctl"},
	} {
		_, _, err := servedIn(t, "containerd", func(command string) int {
			if slices.Contains(fail, strings.Fields(command)[0]) {
				return 1
			}
			return 0
		})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", fail, err)
		}
	}
}

func TestPrepareCRIOfNoCluster(t *testing.T) {
	if _, err := manager(t, engine(t)).PrepareCRI(t.Context(), "none"); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("err = %v", err)
	}
}
