package docker

import (
	"archive/tar"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

const testPrefix = "t-docker-"

// newProvider connects to the engine; without one the test is skipped, or fails
// where KLUSTER_REQUIRE_ENGINE=1 says that there must be one.
func newProvider(t *testing.T) *Provider {
	t.Helper()
	p, err := New(t.Context())
	if err != nil && os.Getenv("KLUSTER_REQUIRE_ENGINE") != "1" {
		t.Skipf("skipped without a Docker engine (KLUSTER_REQUIRE_ENGINE=1 makes this a failure): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// testImage builds the contract's program and its image.
func testImage(t *testing.T) v1.Image {
	t.Helper()
	out := filepath.Join(t.TempDir(), "testnode")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", out,
		"github.com/kluster-project/kluster/provider/providertest/testnode")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the contract's program: %v\n%s", err, text)
	}
	binary, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	img, err := providertest.Image(binary, map[string]string{"io.kluster.test-image": t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestContract(t *testing.T) {
	p := newProvider(t)
	providertest.Contract(t, p, providertest.Options{Prefix: testPrefix, Image: testImage(t)})
}

// TestLoadSendsWhatIsMissing loads an image, and then one with a layer more. The
// containerd store must be sent both as a whole.
func TestLoadSendsWhatIsMissing(t *testing.T) {
	p := newProvider(t)
	base := testImage(t)
	// A layer of its own, so that no other image holds what is sent first.
	own, err := providertest.Layer(providertest.File{
		Header: tar.Header{Name: "data/own", Mode: 0o644, Typeflag: tar.TypeReg},
		Data:   []byte(time.Now().String() + strings.Repeat("x", 1<<20)),
	})
	if err != nil {
		t.Fatal(err)
	}
	base, err = mutate.AppendLayers(base, own)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := providertest.Layer(providertest.File{
		Header: tar.Header{Name: "data/more", Mode: 0o644, Typeflag: tar.TypeReg}, Data: []byte(t.Name()),
	})
	if err != nil {
		t.Fatal(err)
	}
	more, err := mutate.AppendLayers(base, layer)
	if err != nil {
		t.Fatal(err)
	}
	first, second := testPrefix+"load:1", testPrefix+"load:2"
	t.Cleanup(func() {
		for _, ref := range []string{second, first} {
			if err := p.RemoveImage(context.WithoutCancel(t.Context()), ref); err != nil {
				t.Error(err)
			}
		}
	})
	whole, part := load(t, p, first, base), load(t, p, second, more)
	info, err := p.api.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if saved := part*10 <= whole; saved == containerdStore(info) {
		t.Errorf("sent %d bytes for one small layer, after %d for all", part, whole)
	}
	if _, err := p.Image(t.Context(), second); err != nil {
		t.Error(err)
	}
}

func load(t *testing.T, p *Provider, ref string, img v1.Image) (sent int64) {
	t.Helper()
	if err := p.LoadImage(t.Context(), ref, img, func(_, total int64) { sent = total }); err != nil {
		t.Fatal(err)
	}
	return sent
}

// TestLoadLeavesNoTag interrupts a load half way.
func TestLoadLeavesNoTag(t *testing.T) {
	p := newProvider(t)
	ref := testPrefix + "cut:1"
	remove := func() {
		if err := p.RemoveImage(context.WithoutCancel(t.Context()), ref); err != nil {
			t.Error(err)
		}
	}
	remove() // that of a test that failed
	t.Cleanup(remove)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := p.LoadImage(ctx, ref, testImage(t), func(done, total int64) {
		if done > total/2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	if _, err := p.Image(t.Context(), ref); !errors.Is(err, provider.ErrNotFound) {
		t.Errorf("got %v, want that there is no image", err)
	}
}

// TestLoadRefusesBadReference checks that nothing is sent under a name that the
// engine would refuse at the end.
func TestLoadRefusesBadReference(t *testing.T) {
	p := newProvider(t)
	err := p.LoadImage(t.Context(), testPrefix+"UPPER:1", testImage(t), func(int64, int64) {
		t.Error("bytes were sent")
	})
	if err == nil || !strings.Contains(err.Error(), "UPPER") {
		t.Errorf("got %v", err)
	}
}
