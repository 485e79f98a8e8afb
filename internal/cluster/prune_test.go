package cluster

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/registries"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// holdNodeImage has the engine hold a node image.
func (i *installation) holdNodeImage(t *testing.T, ref string) {
	t.Helper()
	text, err := json.Marshal(nodespec.Manifest{Kubernetes: "v1.36.3", Runtimes: []string{"containerd"}})
	if err != nil {
		t.Fatal(err)
	}
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.Config(img, v1.Config{Labels: map[string]string{
		nodespec.LabelManifest: string(text), nodespec.LabelProtocol: strconv.Itoa(nodespec.Protocol),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.engine.LoadImage(t.Context(), ref, img, nil); err != nil {
		t.Fatal(err)
	}
}

// heldRefs are the names of what the engine holds.
func (i *installation) heldRefs(t *testing.T) []string {
	t.Helper()
	held, err := i.engine.Images(t.Context(), provider.Selector{})
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, img := range held {
		refs = append(refs, img.Refs...)
	}
	slices.Sort(refs)
	return refs
}

// Images of this test: one that a cluster uses and one that a registry does, one that nothing does, and two that this
// kluster would use.
const (
	usedImage   = nodespec.ImageRepository + ":v1.36.3-used"
	sharedImage = nodespec.ImageRepository + ":v1.36.3-shared"
	oldImage    = nodespec.ImageRepository + ":v1.36.3-old"
)

func pruneable(t *testing.T) (i *installation, current []string) {
	t.Helper()
	i = install(t, "node")
	for _, conformance := range []bool{false, true} {
		r, err := nodeimage.Resolve(t.Context(), ImageOptions{NodeBinary: i.nodeBin, Conformance: conformance}, nodeimage.Env{})
		if err != nil {
			t.Fatal(err)
		}
		current = append(current, r.Ref())
	}
	for _, ref := range append([]string{usedImage, sharedImage, oldImage, "mine:1"}, current...) {
		i.holdNodeImage(t, ref)
	}
	for label, ref := range map[string]string{nodespec.LabelCluster: usedImage, registries.Label: sharedImage} {
		if _, err := i.engine.CreateNode(t.Context(), provider.NodeSpec{Name: label, Image: ref, Labels: map[string]string{label: "c"}}); err != nil {
			t.Fatal(err)
		}
	}
	return i, current
}

func TestPruneKeepsWhatIsUsed(t *testing.T) {
	i, current := pruneable(t)
	all := i.heldRefs(t)
	for _, step := range []struct {
		opt  PruneOptions
		left []string
	}{
		{PruneOptions{Unused: time.Hour, DryRun: true}, all},
		{PruneOptions{Unused: time.Hour}, append([]string{"mine:1", sharedImage, usedImage}, current...)},
		{PruneOptions{DryRun: true}, append([]string{"mine:1", sharedImage, usedImage}, current...)},
		{PruneOptions{}, []string{"mine:1", sharedImage, usedImage}},
	} {
		if _, err := i.Prune(t.Context(), step.opt); err != nil {
			t.Fatal(err)
		}
		slices.Sort(step.left)
		if diff := cmp.Diff(step.left, i.heldRefs(t)); diff != "" {
			t.Errorf("%+v: %s", step.opt, diff)
		}
	}
}

// TestPruneKeepsWhatABundleBrought, for whichever kluster: it may not be had again.
func TestPruneKeepsWhatABundleBrought(t *testing.T) {
	i, _ := pruneable(t)
	if err := nodeimage.NoteImage(i.cache, oldImage); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		unused time.Duration
		left   bool
	}{{time.Hour, true}, {0, false}} {
		if _, err := i.Prune(t.Context(), PruneOptions{Unused: step.unused}); err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(i.heldRefs(t), oldImage); got != step.left {
			t.Errorf("unused for %s: it is there: %v", step.unused, got)
		}
	}
	if noted, err := nodeimage.Brought(i.cache, oldImage); noted || err != nil {
		t.Errorf("it is still noted: %v", err)
	}
}

// TestPruneKeepsWhatItCannotTell has no kluster-node, which the names of images say.
func TestPruneKeepsWhatItCannotTell(t *testing.T) {
	i, _ := pruneable(t)
	before := i.heldRefs(t)
	if err := os.Remove(i.nodeBin); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Prune(t.Context(), PruneOptions{Unused: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, i.heldRefs(t)); diff != "" {
		t.Error(diff)
	}
}

func TestPruneTells(t *testing.T) {
	i, _ := pruneable(t)
	_, dead := creators(t)
	labels := map[string]string{buildLabel: "b", nodespec.LabelCreator: dead.String()}
	i.holdNodeImage(t, "kluster/sandbox:b")
	if _, err := i.engine.CreateNode(t.Context(), provider.NodeSpec{Name: "kluster-build-b", Image: "kluster/sandbox:b", Labels: labels}); err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(i.cache, "logs")
	for _, name := range []string{"c-20200101T000000", "c-" + time.Now().UTC().Format(evidenceForm)} {
		if err := errors.Join(os.MkdirAll(filepath.Join(logs, name), 0o755), os.WriteFile(filepath.Join(logs, name, "x"), []byte("12345"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"logs of a failed create c-20200101T000000", "node image " + oldImage, "left of a build kluster-build-b"}
	for _, dry := range []bool{true, false} {
		got, err := i.Prune(t.Context(), PruneOptions{Unused: time.Hour, DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, item := range got.Items {
			told = append(told, item.Kind+" "+item.Name)
		}
		if diff := cmp.Diff(want, told); diff != "" || got.CacheBytes != 5 || got.DryRun != dry {
			t.Errorf("dry run %v: %+v %s", dry, got, diff)
		}
	}
	if slices.Contains(i.heldRefs(t), "kluster/sandbox:b") {
		t.Error("the image of the build is left")
	}
	if left, err := os.ReadDir(logs); len(left) != 1 || err != nil {
		t.Errorf("logs: %v %v", left, err)
	}
	got, err := i.Prune(t.Context(), PruneOptions{Unused: time.Hour})
	if err != nil || len(got.Items) != 0 {
		t.Errorf("again: %+v %v", got, err)
	}
}

func TestPruneLeavesACreateAlone(t *testing.T) {
	i, _ := pruneable(t)
	release, err := nodeimage.UseCache(t.Context(), i.cache)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	before := i.heldRefs(t)
	if _, err := i.Prune(t.Context(), PruneOptions{}); err == nil || !strings.Contains(err.Error(), "using the cache") {
		t.Errorf("err = %v", err)
	}
	if diff := cmp.Diff(before, i.heldRefs(t)); diff != "" {
		t.Error(diff)
	}
}

// A create needs its image from the look at it until it has nodes.
func TestACreateHoldsTheCache(t *testing.T) {
	p := engine(t)
	m := manager(t, p)
	var tried []error
	p.Fail = func(op, _ string) error {
		if op == "CreateNode" && len(tried) == 0 {
			_, err := m.Prune(t.Context(), PruneOptions{})
			tried = append(tried, err)
			return errors.New("enough")
		}
		return nil
	}
	if _, err := m.Create(t.Context(), wanted(t, "c", 1)); err == nil {
		t.Fatal("it was made")
	}
	if len(tried) != 1 || tried[0] == nil || !strings.Contains(tried[0].Error(), "using the cache") {
		t.Errorf("prune during a create: %v", tried)
	}
}
