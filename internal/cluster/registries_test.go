package cluster

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/registries"
	"github.com/kluster-project/kluster/provider"
)

// TestDisconnectACache: nodes ask it no more, and it stays.
func TestDisconnectACache(t *testing.T) {
	p := engineWith(t, "var/lib/kubelet/none")
	running(t, p, "c")
	p.Handle = func(context.Context, provider.Node, provider.Command) int { return 0 }
	m := manager(t, p)
	if _, err := p.CreateNetwork(t.Context(), provider.NetworkSpec{Name: "c", Labels: map[string]string{nodespec.LabelCluster: "c"}}); err != nil {
		t.Fatal(err)
	}
	images, err := p.Images(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cache := registries.Cache("docker.io", "")
	image := func(context.Context) (string, error) { return images[0].Refs[0], nil }
	if err := m.registries().Ensure(t.Context(), cache, image); err != nil {
		t.Fatal(err)
	}
	told := func(word string) {
		t.Helper()
		text, err := p.ReadFile("c-worker-1", nodespec.MirrorsDir+"/"+nodespec.MirrorsOfCaches+".json")
		if err != nil || strings.Contains(string(text), "docker.io") != (word != "") {
			t.Errorf("the node is told of %s, %v", text, err)
		}
	}
	for _, step := range []struct {
		do   func(context.Context, string, []string) ([]string, error)
		used string
	}{{m.ConnectRegistries, "docker.io"}, {m.DisconnectRegistries, ""}} {
		done, err := step.do(t.Context(), "c", []string{"docker.io"})
		if err != nil || !slices.Equal(done, []string{cache.Name()}) {
			t.Fatalf("%v, %v", done, err)
		}
		told(step.used)
		infos, err := m.Registries(t.Context())
		if err != nil || len(infos) != 1 || len(infos[0].Clusters) > 0 != (step.used != "") {
			t.Errorf("%+v, %v", infos, err)
		}
	}
	if _, err := m.DisconnectRegistries(t.Context(), "c", nil); err == nil || !strings.Contains(err.Error(), "uses none of these registries") {
		t.Errorf("err = %v", err)
	}
}
