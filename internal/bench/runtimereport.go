package bench

// RuntimeSettings are what was measured of container runtimes.
type RuntimeSettings struct {
	Pairs []Pair `json:"pairs"`
	// Images are the node images by container runtime.
	Images  map[string]string `json:"images"`
	Amounts Amounts           `json:"amounts"`
	// ArchiveBytes is the size of the archive with the image that is imported.
	ArchiveBytes int64 `json:"archiveBytes"`
}

// RuntimeSample is one cluster of one pair. What was not reached is 0.
type RuntimeSample struct {
	Pair
	// Sample are the times of its create and its delete.
	Sample
	// Reported is what the node says it runs, "containerd://2.4.2".
	Reported string `json:"reported,omitempty"`
	// Starts are those of pods one after the other, in their order, Burst those of
	// pods that were made at once.
	Starts []PodStart `json:"starts,omitempty"`
	Burst  []PodStart `json:"burst,omitempty"`
	// BurstSeconds are from before the first of the burst was made until the last
	// container had started.
	BurstSeconds float64 `json:"burstSeconds,omitempty"`
	// EmptyBytes is the working set of the node before, and FullBytes with, so many
	// idle pods more than it has itself.
	EmptyBytes int64 `json:"emptyBytes,omitempty"`
	FullBytes  int64 `json:"fullBytes,omitempty"`
	IdlePods   int   `json:"idlePods,omitempty"`
	// ImportSeconds: the tool's process that imported an archive of ImportBytes.
	ImportSeconds float64 `json:"importSeconds,omitempty"`
	ImportBytes   int64   `json:"importBytes,omitempty"`
}

// PodStart is the start of one pod. Seconds count from the API server's answer that
// it has the pod.
type PodStart struct {
	// StartedSeconds: the container printed its first line, as the container
	// runtime dated it.
	StartedSeconds float64 `json:"startedSeconds"`
	// SeenSeconds: a watch of the API showed the pod Running.
	SeenSeconds float64 `json:"seenSeconds"`
}

// RuntimeFigure is one cell of the table of container runtimes.
type RuntimeFigure struct {
	Pair
	Name  string  `json:"name"`
	Unit  Unit    `json:"unit"`
	Value *Spread `json:"value,omitempty"`
}

// runtimeColumns are the figures of each pair: what a sample gives for each, and
// for a ratio before it is divided by the floor.
var runtimeColumns = []struct {
	name string
	unit Unit
	of   func(RuntimeSample) []float64
}{
	{"all Ready", Seconds, func(s RuntimeSample) []float64 { return ready(s.Sample) }},
	{"all Ready / floor", Ratio, func(s RuntimeSample) []float64 { return ready(s.Sample) }},
	{"pod start", Seconds, func(s RuntimeSample) []float64 { return median(started(s.Starts)) }},
	{"pod start, p90", Seconds, func(s RuntimeSample) []float64 { return percentile(started(s.Starts), 90) }},
	{"pod seen Running", Seconds, func(s RuntimeSample) []float64 { return median(seenAfter(s.Starts)) }},
	{"pods at once", Seconds, func(s RuntimeSample) []float64 { return some(s.BurstSeconds) }},
	{"memory per pod", Bytes, memoryPerPod},
	{"image import", BytesPerSecond, importSpeed},
}

func started(starts []PodStart) []float64 {
	var all []float64
	for _, s := range starts {
		all = append(all, s.StartedSeconds)
	}
	return all
}

func seenAfter(starts []PodStart) []float64 {
	var all []float64
	for _, s := range starts {
		all = append(all, s.SeenSeconds)
	}
	return all
}

// memoryPerPod also is what it should not be, less than nothing: the reader must see it.
func memoryPerPod(s RuntimeSample) []float64 {
	if s.IdlePods == 0 {
		return nil
	}
	return []float64{float64(s.FullBytes-s.EmptyBytes) / float64(s.IdlePods)}
}

func importSpeed(s RuntimeSample) []float64 {
	if s.ImportSeconds <= 0 {
		return nil
	}
	return some(float64(s.ImportBytes) / s.ImportSeconds)
}

// summarizeRuntimes computes the figures of all pairs from the samples.
func (r *Report) summarizeRuntimes() {
	r.RuntimeFigures = nil
	floor := SpreadOf(r.floors())
	for _, p := range r.Settings.Runtimes.Pairs {
		for _, c := range runtimeColumns {
			var all []float64
			for _, s := range r.Runtimes {
				if s.Pair == p {
					all = append(all, c.of(s)...)
				}
			}
			switch {
			case c.unit == Ratio && floor == nil:
				all = nil
			case c.unit == Ratio:
				all = scaled(all, 1/floor.Median)
			}
			r.RuntimeFigures = append(r.RuntimeFigures, RuntimeFigure{Pair: p, Name: c.name, Unit: c.unit, Value: SpreadOf(all)})
		}
	}
}
