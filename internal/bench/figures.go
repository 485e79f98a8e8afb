package bench

// Unit is what a figure counts.
type Unit string

// The units.
const (
	Ratio   Unit = "ratio"
	Seconds Unit = "seconds"
	Bytes   Unit = "bytes"
	// BytesPerSecond is a speed.
	BytesPerSecond Unit = "bytes per second"
)

// Names of the tools.
const (
	klusterName = "kluster"
	kindName    = "kind"
)

// Figure is one row of the table.
type Figure struct {
	Name string `json:"name"`
	Unit Unit   `json:"unit"`
	// Must and Aim are nil for what has no target.
	Must *float64 `json:"must,omitempty"`
	Aim  *float64 `json:"aim,omitempty"`
	// AtLeast: the targets are lower bounds.
	AtLeast bool    `json:"atLeast,omitempty"`
	Kluster *Spread `json:"kluster,omitempty"`
	Kind    *Spread `json:"kind,omitempty"`
	// KindRecorded: Kind is not from this run but a record of another machine,
	// N is 0 and Median the middle of its range.
	KindRecorded bool `json:"kindRecorded,omitempty"`
	// Met is "aim", "must", "no", or "" without a target or a value.
	Met string `json:"met,omitempty"`
}

// Summarize computes all figures from the samples: ratios first.
func (r *Report) Summarize() {
	switch {
	case r.Settings.Load != nil:
		r.summarizeLoads()
		return
	case r.Settings.Runtimes != nil:
		r.summarizeRuntimes()
		return
	}
	s := summary{Report: r, floor: r.floors()}
	r.Figures = nil
	for _, c := range r.Settings.Cases {
		s.ratios(c)
	}
	for _, c := range r.Settings.Cases {
		s.againstKind(c)
	}
	s.add("floor", Seconds, s.floor, nil)
	for _, c := range r.Settings.Cases {
		s.quantities(c)
	}
	s.add("node image, uncompressed", Bytes, some(r.ImageBytes), some(r.KindImageBytes))
}

// summary is a report whose figures are being computed.
type summary struct {
	*Report
	floor []float64
}

func (r *Report) floors() []float64 {
	var all []float64
	for _, f := range r.Floor {
		all = append(all, some(f.ReadySeconds)...)
	}
	return all
}

// some is the list of v, or of nothing when that was not measured.
func some[T int64 | float64](v T) []float64 {
	if v <= 0 {
		return nil
	}
	return []float64{float64(v)}
}

// values gives one thing of a tool's samples of a case.
func (s *summary) values(tool string, c Case, of func(Sample) []float64) []float64 {
	var all []float64
	for _, x := range s.Samples {
		if x.Tool == tool && x.Case == c.Name {
			all = append(all, of(x)...)
		}
	}
	return all
}

// both adds the figure of both tools, each value by the floor's median when the
// unit is a ratio.
func (s *summary) both(name string, unit Unit, c Case, of func(Sample) []float64) {
	kluster, kind := s.values(klusterName, c, of), s.values(kindName, c, of)
	if unit == Ratio {
		floor := SpreadOf(s.floor)
		if floor == nil {
			return
		}
		kluster, kind = scaled(kluster, 1/floor.Median), scaled(kind, 1/floor.Median)
	}
	s.add(c.Title+": "+name, unit, kluster, kind)
}

// add adds a figure with its target, and with what is recorded of kind where
// nothing was measured.
func (s *summary) add(name string, unit Unit, kluster, kind []float64) {
	f := Figure{Name: name, Unit: unit, Kluster: SpreadOf(kluster), Kind: SpreadOf(kind)}
	if known, ok := recordedKind[name]; ok && f.Kind == nil {
		f.Kind = &Spread{Median: known.mid(), Min: known.low, Max: known.high}
		f.KindRecorded = true
	}
	if goal, ok := targets[name]; ok {
		f.Must, f.Aim, f.AtLeast = &goal.must, &goal.aim, goal.atLeast
		f.Met = goal.met(f.Kluster)
	}
	s.Figures = append(s.Figures, f)
}

// met says which of the bounds the median keeps.
func (t target) met(s *Spread) string {
	within := func(bound float64) bool { return s.Median <= bound != t.atLeast || s.Median == bound }
	switch {
	case s == nil:
		return ""
	case within(t.aim):
		return "aim"
	case within(t.must):
		return "must"
	default:
		return "no"
	}
}

func ready(x Sample) []float64    { return some(x.ReadySeconds) }
func usable(x Sample) []float64   { return some(x.UsableSeconds) }
func returned(x Sample) []float64 { return some(x.ReturnedSeconds) }

// afterReady is the time from all Ready to usable; 0 counts.
func afterReady(x Sample) []float64 {
	if x.UsableSeconds == 0 {
		return nil
	}
	return []float64{x.UsableSeconds - x.ReadySeconds}
}

// ratios adds what is counted in floors.
func (s *summary) ratios(c Case) {
	s.both("all Ready / floor", Ratio, c, ready)
	s.both("usable / floor", Ratio, c, usable)
	s.both("usable after Ready / floor", Ratio, c, afterReady)
}

// againstKind adds how many times longer kind takes to all nodes Ready: from
// this run, else from the recorded ratio to the floor.
func (s *summary) againstKind(c Case) {
	name := c.Title + ": all Ready, kind / kluster"
	kluster := s.values(klusterName, c, ready)
	if kind := SpreadOf(s.values(kindName, c, ready)); kind != nil {
		s.add(name, Ratio, under(kind.Median, kluster), nil)
		return
	}
	known, ok := recordedKind[c.Title+": all Ready / floor"]
	floor := SpreadOf(s.floor)
	if !ok || floor == nil {
		return
	}
	s.add(name, Ratio, under(known.mid()*floor.Median, kluster), nil)
	last := &s.Figures[len(s.Figures)-1]
	last.KindRecorded = true
}

// quantities adds seconds and bytes.
func (s *summary) quantities(c Case) {
	s.both("all Ready", Seconds, c, ready)
	s.both("usable", Seconds, c, usable)
	s.both("create returned", Seconds, c, returned)
	s.both("CPU seconds of a create", Seconds, c, func(x Sample) []float64 { return some(x.CPUSeconds) })
	s.both("one more worker Ready", Seconds, c, func(x Sample) []float64 { return some(x.AddSeconds) })
	s.both("delete", Seconds, c, func(x Sample) []float64 { return some(x.DeleteSeconds) })
	s.both("memory, idle", Bytes, c, func(x Sample) []float64 { return some(x.MemoryBytes) })
	s.both("disk per control plane", Bytes, c, diskOf(roleControlPlane))
	if c.Workers > 0 {
		s.both("disk per worker", Bytes, c, diskOf(roleWorker))
	}
}

// diskOf gives the disk of every container of a role.
func diskOf(role string) func(Sample) []float64 {
	return func(x Sample) []float64 {
		var all []float64
		for _, c := range x.Containers {
			if c.Role == role {
				all = append(all, some(c.DiskBytes)...)
			}
		}
		return all
	}
}
