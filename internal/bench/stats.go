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

// percentile is the least of the values that so many percent of them, 1 to 100, do
// not exceed; nothing of none.
func percentile(values []float64, percent int) []float64 {
	n := len(values)
	if n == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	return []float64{sorted[(n*percent+99)/100-1]}
}

// median is that of the values; nothing of none.
func median(values []float64) []float64 {
	if s := SpreadOf(values); s != nil {
		return []float64{s.Median}
	}
	return nil
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
