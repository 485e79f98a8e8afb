package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpreadOf(t *testing.T) {
	for name, test := range map[string]struct {
		values []float64
		want   *Spread
	}{
		"none": {nil, nil},
		"one":  {[]float64{3}, &Spread{N: 1, Median: 3, Min: 3, Max: 3}},
		"odd":  {[]float64{9, 1, 2}, &Spread{N: 3, Median: 2, Min: 1, Max: 9}},
		"even": {[]float64{4, 1, 10, 2}, &Spread{N: 4, Median: 3, Min: 1, Max: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			before := append([]float64(nil), test.values...)
			if diff := cmp.Diff(test.want, SpreadOf(test.values)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(before, append([]float64(nil), test.values...)); diff != "" {
				t.Errorf("its argument was changed:\n%s", diff)
			}
		})
	}
}
