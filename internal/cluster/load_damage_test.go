package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/status"
)

// readHere is a source that notes the layers which are read here, not for nodes.
type readHere struct {
	imageload.Source
	opened bool
	layers []string
	broken error
}

func (s *readHere) Open(ctx context.Context, wanted map[v1.Hash]bool) (imageload.Opened, error) {
	s.opened = true
	return s.Source.(imageload.Opener).Open(ctx, wanted)
}

func (s *readHere) Read(ctx context.Context, wanted map[v1.Hash]bool, put func(imageload.Layer, io.Reader) error) error {
	for h := range wanted {
		s.layers = append(s.layers, h.String())
	}
	if s.broken != nil {
		return s.broken
	}
	return s.Source.Read(ctx, wanted, put)
}

// Layers are read here only to tell why a node failed, if it does not: those that it was
// sent, each once however often it is tried.
func TestLoadLooksForDamage(t *testing.T) {
	lost, broken := errors.New("the engine is gone"), errors.New("broken disk")
	// The worker has the first layer of three, until all are sent to it.
	for name, tt := range map[string]struct {
		words  string // of the worker's command
		lost   error  // instead of words
		broken error
		want   []int // layers
		says   []string
	}{
		"not if all is well":             {},
		"not if a node has no room":      {words: "write: no space left on device", says: []string{"a-worker-1 has no disk space left"}},
		"not if the engine fails":        {lost: lost, says: []string{lost.Error()}},
		"of a node that says too little": {words: "some words", want: []int{1, 2, 0}, says: []string{"a-worker-1", "some words"}},
		"which fails itself":             {words: "some words", broken: broken, want: []int{1, 2}, says: []string{"a-worker-1", "some words", "reading the images: broken disk"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, p, l := loading(t)
			img := l.image(t, "app:1", 3)
			had := img.layers(t)
			l.blobs[bothNodes[1]], l.names[bothNodes[1]] = map[string]bool{had[0]: true}, map[string]string{}
			l.fail = func(node string, _ map[string][]byte) string {
				if node == bothNodes[1] {
					return tt.words
				}
				return ""
			}
			opened, err := m.loadSource(t.Context(), LoadOptions{Archive: l.archive(t, img)})
			if err != nil {
				t.Fatal(err)
			}
			nodes, err := m.loadTargets(t.Context(), "a", nil)
			if err != nil {
				t.Fatal(err)
			}
			src := &readHere{Source: opened, broken: tt.broken}
			p.Fail = func(op, object string) error {
				if op == "Exec" && object == bothNodes[1] && src.opened {
					return tt.lost
				}
				return nil
			}
			err = m.load(t.Context(), nodes, src, false, status.Discard)
			if (err == nil) != (tt.says == nil) {
				t.Errorf("err = %v", err)
			}
			for _, words := range tt.says {
				if !strings.Contains(fmt.Sprint(err), words) {
					t.Errorf("err = %v, want %q", err, words)
				}
			}
			var want []string
			for _, i := range tt.want {
				want = append(want, had[i])
			}
			slices.Sort(want)
			slices.Sort(src.layers)
			if diff := cmp.Diff(want, src.layers); diff != "" {
				t.Errorf("read here (-want +got):\n%s", diff)
			}
			if len(l.names[bothNodes[0]]) != 1 {
				t.Error("the other node has no image")
			}
		})
	}
}
