package cluster

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/offline"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// installation is kluster's programs on a machine with an engine.
type installation struct {
	*Manager
	engine         *providertest.Provider
	program, cache string
}

// install puts programs onto a machine. node is the content of kluster-node.
func install(t *testing.T, node string) *installation {
	t.Helper()
	dir := t.TempDir()
	i := &installation{engine: providertest.New(), program: filepath.Join(dir, "kluster"), cache: filepath.Join(dir, "cache")}
	i.engine.HostInfo.Arch = runtime.GOARCH
	nodeBin := filepath.Join(dir, "kluster-node")
	if err := errors.Join(os.WriteFile(i.program, []byte("kluster"), 0o755), os.WriteFile(nodeBin, []byte(node), 0o755)); err != nil {
		t.Fatal(err)
	}
	i.Manager = New(i.engine, Options{Reporter: status.Discard, CacheDir: i.cache, NodeBinary: nodeBin})
	return i
}

// refs are the names of the images that kluster looks for.
func (i *installation) refs(t *testing.T) []string {
	t.Helper()
	var refs []string
	for _, runtimes := range [][]string{{"containerd"}, {"cri-o"}, {"containerd", "cri-o"}} {
		r, err := nodeimage.Resolve(t.Context(), ImageOptions{NodeBinary: i.nodeBin, Runtimes: runtimes}, nodeimage.Env{})
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, r.Ref())
	}
	return refs
}

// saved is a bundle of a machine that holds its images.
func saved(t *testing.T, i *installation) []byte {
	t.Helper()
	for _, ref := range i.refs(t) {
		img, err := random.Image(100, 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := i.engine.LoadImage(t.Context(), ref, img, nil); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	info, err := i.SaveBundle(t.Context(), &out, SaveOptions{Runtimes: []string{"cri-o", "containerd"}, Program: i.program, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != int64(out.Len()) || info.Kluster != "v1" || info.E2E {
		t.Errorf("%+v", info)
	}
	return out.Bytes()
}

func (i *installation) load(ctx context.Context, data []byte) (*BundleInfo, error) {
	return i.LoadBundle(ctx, bytes.NewReader(data), int64(len(data)), nil)
}

// untouched fails if something was changed.
func (i *installation) untouched(t *testing.T) {
	t.Helper()
	for _, call := range i.engine.Calls() {
		if strings.HasPrefix(call, "LoadImage") {
			t.Errorf("%s", call)
		}
	}
	if _, err := os.Stat(filepath.Join(i.cache, "toolchains")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cache was changed: %v", err)
	}
}

func TestABundleBringsTheImagesThatCreateLooksFor(t *testing.T) {
	from := install(t, "node")
	data := saved(t, from)
	to := install(t, "node")
	t.Setenv("PATH", t.TempDir()) // no Go
	info, err := to.load(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Images) != 3 {
		t.Errorf("images %q", info.Images)
	}
	ref, err := to.EnsureImage(t.Context(), ImageOptions{Runtimes: []string{"cri-o"}}, status.Discard)
	if err != nil || !slices.Contains(info.Images, ref) {
		t.Fatalf("%q, %v", ref, err)
	}
	want, err := from.engine.Image(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if brought, err := nodeimage.Brought(to.cache, ref); !brought || err != nil {
		t.Errorf("prune would remove it once there is another kluster: %v", err)
	}
	if got, err := to.engine.Image(t.Context(), ref); got.ID != want.ID || err != nil {
		t.Errorf("image %s is %s and not %s: %v", ref, got.ID, want.ID, err)
	}
	_, err = to.EnsureImage(t.Context(), ImageOptions{Runtimes: []string{"cri-dockerd"}}, status.Discard)
	if err == nil || !strings.Contains(strings.Join(failure.Hints(err), "\n"), "bundle") {
		t.Errorf("err = %v, hints %q", err, failure.Hints(err))
	}
	before := len(to.engine.Calls())
	if _, err := to.load(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	if again := strings.Join(to.engine.Calls()[before:], "\n"); strings.Contains(again, "LoadImage") {
		t.Errorf("what is there was loaded again: %s", again)
	}
}

func TestABundleThatDoesNotFitChangesNothing(t *testing.T) {
	data := saved(t, install(t, "node"))
	for name, c := range map[string]struct {
		node, arch string
		data       []byte
		says       string
	}{
		"another architecture": {"node", "s390x", data, "the engine's machine is s390x"},
		"another kluster":      {"other", runtime.GOARCH, data, "made by another kluster (v1)"},
		"cut off":              {"node", runtime.GOARCH, data[:len(data)/2], "damaged or cut off"},
		"damaged":              {"node", runtime.GOARCH, bytes.Replace(data, []byte("\x28\xb5\x2f\xfd"), []byte("\x28\xb5\x2f\xff"), 1), "has the sha256"},
		"no bundle":            {"node", runtime.GOARCH, []byte("text"), "no bundle of kluster"},
	} {
		t.Run(name, func(t *testing.T) {
			to := install(t, c.node)
			to.engine.HostInfo.Arch = c.arch
			_, err := to.load(t.Context(), c.data)
			if err == nil || !strings.Contains(err.Error(), c.says) || failure.Code(err) != failure.CodeUsage {
				t.Errorf("err = %v, code %d", err, failure.Code(err))
			}
			to.untouched(t)
		})
	}
}

func TestALoadThatIsInterruptedCanBeDoneAgain(t *testing.T) {
	data := saved(t, install(t, "node"))
	to := install(t, "node")
	ctx, cancel := context.WithCancelCause(t.Context())
	loads := 0
	to.engine.Fail = func(op, _ string) error {
		if op == "LoadImage" {
			if loads++; loads == 2 {
				cancel(failure.ErrInterrupted)
				return failure.ErrInterrupted
			}
		}
		return nil
	}
	if _, err := to.load(ctx, data); !errors.Is(err, failure.ErrInterrupted) {
		t.Errorf("err = %v", err)
	}
	held, err := to.engine.Images(t.Context(), provider.Selector{})
	if len(held) != 1 || err != nil {
		t.Errorf("%d images are there, %v", len(held), err)
	}
	if _, err := to.load(t.Context(), data); err != nil {
		t.Error(err)
	}
	if held, err := to.engine.Images(t.Context(), provider.Selector{}); len(held) != 3 || err != nil {
		t.Errorf("%d images are there, %v", len(held), err)
	}
}

func TestSaveRefusesWhatCannotBeHad(t *testing.T) {
	for name, c := range map[string]struct {
		opt  SaveOptions
		says string
	}{
		"version":     {SaveOptions{Kubernetes: []string{"v1.2.3"}}, "not known"},
		"runtime":     {SaveOptions{Runtimes: []string{"rkt"}}, "rkt"},
		"add-on":      {SaveOptions{Addons: []string{"metrics-sever"}}, "did you mean \"metrics-server\"?"},
		"no programs": {SaveOptions{Kubernetes: []string{"v1.34.4"}, E2E: true}, "no conformance images"},
	} {
		i := install(t, "node")
		var out bytes.Buffer
		_, err := i.SaveBundle(t.Context(), &out, c.opt)
		if err == nil || !strings.Contains(err.Error(), c.says) || failure.Code(err) != failure.CodeUsage || out.Len() > 0 {
			t.Errorf("%s: err = %v, code %d, %d bytes", name, err, failure.Code(err), out.Len())
		}
	}
}

func TestADiskThatIsFullIsTold(t *testing.T) {
	i := install(t, "node")
	saved(t, i)
	_, err := i.SaveBundle(t.Context(), fullDisk{}, SaveOptions{Program: i.program})
	if !errors.Is(err, errFull) {
		t.Errorf("err = %v", err)
	}
}

var errFull = errors.New("no space left on device")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestOfflineFormat(t *testing.T) {
	if err := otherKluster(offline.Contents{Kluster: "v9"}, "x"); !strings.Contains(strings.Join(failure.Hints(err), ""), "tar -xf BUNDLE kluster kluster-node") {
		t.Errorf("hints %q", failure.Hints(err))
	}
}
