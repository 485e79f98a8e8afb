package nodeimage

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestAStoreThatIsReadInPlaceHasNoImagesThatTestsPull(t *testing.T) {
	images := []clusterImage{{spec: ContainerImage{Ref: "plain"}}, {spec: ContainerImage{Ref: "pulled", Pulled: true}}}
	for _, name := range cri.Names() {
		runtime, err := cri.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"plain", "pulled"}
		if runtime.Store.InPlace {
			want = want[:1]
		}
		var got []string
		for _, img := range stored(runtime, images) {
			got = append(got, img.spec.Ref)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the store holds %v, not %v", name, got, want)
		}
	}
	if images[1].spec.Ref != "pulled" {
		t.Errorf("the list of images itself was changed: %v", images)
	}
}

// TestRecordsSayWhoLacksAnImage: what is listed of a node image is in its nodes.
func TestRecordsSayWhoLacksAnImage(t *testing.T) {
	images := []clusterImage{
		{spec: ContainerImage{}, record: nodespec.ImageRecord{Ref: "plain"}}, {spec: ContainerImage{Pulled: true}, record: nodespec.ImageRecord{Ref: "pulled"}},
	}
	for _, test := range []struct {
		runtimes []string
		want     []nodespec.ImageRecord
	}{
		{[]string{"containerd"}, []nodespec.ImageRecord{{Ref: "plain"}, {Ref: "pulled"}}},
		{[]string{"containerd", "cri-o"}, []nodespec.ImageRecord{{Ref: "plain"}, {Ref: "pulled", Without: []string{"cri-o"}}}},
		{[]string{"cri-o"}, []nodespec.ImageRecord{{Ref: "plain"}}},
	} {
		got, err := records(test.runtimes, images)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%v: %v %s", test.runtimes, err, diff)
		}
	}
}
