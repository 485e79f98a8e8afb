package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPercentile(t *testing.T) {
	ten := []float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}
	for _, test := range []struct {
		values  []float64
		percent int
		want    []float64
	}{
		{nil, 90, nil},
		{[]float64{3}, 90, []float64{3}},
		{[]float64{3}, 1, []float64{3}},
		{ten, 90, []float64{9}},
		{ten, 91, []float64{10}},
		{ten, 100, []float64{10}},
		{ten, 50, []float64{5}},
	} {
		if diff := cmp.Diff(test.want, percentile(test.values, test.percent)); diff != "" {
			t.Errorf("%d %% of %v: -want +got:\n%s", test.percent, test.values, diff)
		}
	}
	if diff := cmp.Diff([]float64{5.5}, median(ten)); diff != "" || median(nil) != nil {
		t.Errorf("median: -want +got:\n%s", diff)
	}
}

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
