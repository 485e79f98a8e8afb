package bench

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/cri"
)

func TestParsePairs(t *testing.T) {
	for _, test := range []struct {
		runtimes, oci string
		want          []Pair
	}{
		{"containerd", "runc", []Pair{{"containerd", "runc"}}},
		{"cri-o,containerd", "crun,runc", []Pair{{"containerd", "runc"}, {"containerd", "crun"}, {"cri-o", "runc"}, {"cri-o", "crun"}}},
		{"cri-o,cri-o", "crun", []Pair{{"cri-o", "crun"}}},
	} {
		got, err := ParsePairs(test.runtimes, test.oci)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s, %s: %v, -want +got:\n%s", test.runtimes, test.oci, err, diff)
		}
	}
	all, err := ParsePairs("all", "")
	if want := len(cri.Names()) * len(cri.OCINames()); err != nil || len(all) != want {
		t.Errorf("got %v, %v; want %d pairs", all, err, want)
	}
	names := map[string]bool{}
	for _, p := range all {
		names[p.cluster()] = true
		if !strings.HasPrefix(p.cluster(), Prefix) {
			t.Errorf("%s: cluster %s", p, p.cluster())
		}
	}
	if len(names) != len(all) {
		t.Errorf("pairs share clusters: %v", names)
	}
	for want, lists := range map[string][2]string{
		`"rkt" is none of the container runtimes containerd, `: {"containerd,rkt", ""},
		`"kata" is none of the OCI runtimes runc, `:            {"containerd", "kata"},
		`"" is none of`: {"containerd,", ""},
	} {
		if got, err := ParsePairs(lists[0], lists[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, %v; want %q", lists, got, err, want)
		}
	}
}

func TestAmountsCheck(t *testing.T) {
	if err := (Amounts{1, 1, 1, 1}).Check(); err != nil {
		t.Error(err)
	}
	for want, a := range map[string]Amounts{
		"one after the other": {0, 1, 1, 1}, "at once": {1, -1, 1, 1}, "idle": {1, 1, 0, 1}, "megabytes": {1, 1, 1, 0},
	} {
		if err := a.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", a, err, want)
		}
	}
}
