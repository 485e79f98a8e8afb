package bench

import "slices"

// Spread is what is said of several measurements of one thing.
type Spread struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// SpreadOf gives the spread of values; nil of none.
func SpreadOf(values []float64) *Spread {
	n := len(values)
	if n == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	median := sorted[n/2]
	if n%2 == 0 {
		median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return &Spread{N: n, Median: median, Min: sorted[0], Max: sorted[n-1]}
}

// scaled gives each value times factor.
func scaled(values []float64, factor float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v * factor
	}
	return out
}

// under gives numerator by each value.
func under(numerator float64, values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = numerator / v
	}
	return out
}
