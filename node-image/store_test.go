package nodeimage

import (
	"slices"
	"testing"

	"github.com/kluster-project/kluster/internal/cri"
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
