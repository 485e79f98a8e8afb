package cluster

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// crictlImages is what "crictl images --output json" prints, cut short.
const crictlImages = `{"images": [
  {"id": "sha256:1", "repoTags": ["registry.k8s.io/pause:3.10.2"], "repoDigests": [], "size": "756224", "pinned": true},
  {"id": "sha256:2", "repoTags": ["a:1", "b:1"], "repoDigests": ["a@sha256:3"], "size": "1", "pinned": false}
]}`

func TestHeldImages(t *testing.T) {
	p := engine(t)
	running(t, p, "c")
	m := manager(t, p)
	if err := p.StopNode(t.Context(), "c-worker-1", 0); err != nil {
		t.Fatal(err)
	}
	answer, code := crictlImages, 0
	p.Handle = func(_ context.Context, n provider.Node, cmd provider.Command) int {
		if n.Name != "c-control-plane-1" || strings.Join(cmd.Args[len(cmd.Args)-3:], " ") != "images --output json" {
			t.Errorf("%s: %v", n.Name, cmd.Args)
		}
		_, err := io.WriteString(cmd.Stdout, answer)
		if err != nil {
			t.Error(err)
		}
		return code
	}
	held := func(cluster string) (map[string][]heldImage, error) {
		c, err := m.conformanceOf(t.Context(), cluster)
		return c.held, err
	}
	got, err := held("c")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]heldImage{"c-control-plane-1": {
		{ID: "sha256:1", Refs: []string{"registry.k8s.io/pause:3.10.2"}}, {ID: "sha256:2", Refs: []string{"a:1", "b:1"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	answer = "what?"
	if _, err := held("c"); err == nil || !strings.Contains(err.Error(), "listing the images of c-control-plane-1") {
		t.Errorf("err = %v", err)
	}
	code = 1
	if _, err := held("c"); err == nil {
		t.Error("a command that failed was taken for an answer")
	}
	if _, err := held("none"); err == nil {
		t.Error("there is no such cluster")
	}
}

func TestLackingImages(t *testing.T) {
	const a, c = "docker.io/x/a:1", "registry.k8s.io/c:1"
	wanted := []string{a, c}
	held := map[string][]heldImage{
		"all":    {{Refs: []string{a, "b:1"}}, {Refs: []string{c}}},
		"engine": {{Refs: []string{"x/a:1"}}, {Refs: []string{c}}}, // as Docker Engine names it
		"some":   {{Refs: []string{c, "<none>"}}},
		"none":   {},
	}
	want := map[string][]string{"some": {a}, "none": {a, c}}
	if diff := cmp.Diff(want, lackingImages(wanted, held)); diff != "" {
		t.Error(diff)
	}
}

func TestPlacedImages(t *testing.T) {
	wanted := []nodeimage.ConformanceImage{{Ref: "a:1", StandIn: "another a"}, {Ref: "b:1"}, {Ref: "c:1"}}
	held := map[string][]heldImage{
		"1": {{ID: "sha256:1", Refs: []string{"a:1"}}, {ID: "sha256:2", Refs: []string{"b:1"}}},
		"2": {{ID: "sha256:1", Refs: []string{"x:1", "a:1"}}, {ID: "sha256:3", Refs: []string{"b:1"}}},
	}
	want := []PlacedImage{
		{Ref: "a:1", ID: "sha256:1", StandIn: "another a"}, {Ref: "b:1", ID: "sha256:2"}, {Ref: "b:1", ID: "sha256:3"},
	}
	if diff := cmp.Diff(want, placedImages(wanted, held)); diff != "" {
		t.Error(diff)
	}
}

// FuzzParseImages: whatever a node prints, nothing but an error comes of it.
func FuzzParseImages(f *testing.F) {
	for _, text := range []string{crictlImages, "", "null", `{"images": [null, {"repoTags": [1]}]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if images, err := parseImages(text); err != nil && images != nil {
			t.Errorf("both %v and %v", images, err)
		}
	})
}
