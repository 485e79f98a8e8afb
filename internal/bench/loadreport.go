package bench

import (
	"fmt"
	"slices"
	"strings"
)

// LoadFigure is one row of the table of loads: a value for each container runtime.
type LoadFigure struct {
	Name    string             `json:"name"`
	Unit    Unit               `json:"unit"`
	Must    *float64           `json:"must,omitempty"`
	Aim     *float64           `json:"aim,omitempty"`
	AtLeast bool               `json:"atLeast,omitempty"`
	Values  map[string]*Spread `json:"values"`        // by container runtime
	Met     map[string]string  `json:"met,omitempty"` // likewise: "aim", "must" or "no"
}

// loadKinds are the two loads of each image, with the target of how many times faster
// than a whole import they must be.
var loadKinds = []struct {
	name string
	of   func(LoadSample) Loading
	goal target
}{
	{"first load", func(s LoadSample) Loading { return s.First }, target{must: 2.5, aim: 5, atLeast: true}},
	{"load after a small change", func(s LoadSample) Loading { return s.Again }, target{must: 8, aim: 40, atLeast: true}},
}

// sentGoal is what a node may get beside its missing layers.
var sentGoal = target{must: megabyte, aim: megabyte}

// summarizeLoads computes the figures from the samples.
func (r *Report) summarizeLoads() {
	r.LoadFigures = nil
	for _, kind := range loadKinds {
		of := func(way LoadWay, value func(Loading) float64) func(string) []float64 {
			return func(runtime string) []float64 {
				var all []float64
				for _, s := range r.loadsOf(runtime, way) {
					all = append(all, some(value(kind.of(s)))...)
				}
				return all
			}
		}
		seconds := func(l Loading) float64 { return l.Seconds }
		save := func(l Loading) float64 { return l.SaveSeconds }
		imported := func(l Loading) float64 { return l.Seconds - l.SaveSeconds }
		r.addLoad(kind.name+": whole image into each node", Seconds, nil, of(WayWhole, seconds))
		r.addLoad(kind.name+": of that, the engine's save", Seconds, nil, of(WayWhole, save))
		r.addLoad(kind.name+": kluster, from the engine", Seconds, nil, of(WayEngine, seconds))
		r.addLoad(kind.name+": kluster, from an archive", Seconds, nil, of(WayArchive, seconds))
		r.addLoad(kind.name+": times faster, from the engine", Ratio, &kind.goal, r.faster(kind.of, WayEngine, seconds))
		r.addLoad(kind.name+": times faster, archive against import alone", Ratio, nil, r.faster(kind.of, WayArchive, imported))
		r.addLoad(kind.name+": sent to a node beside missing layers", Bytes, &sentGoal, of(WayCounted, func(l Loading) float64 {
			return float64(l.SentBytes - l.MissingBytes)
		}))
	}
}

// loadsOf are the samples of one runtime and way that came to their end.
func (r *Report) loadsOf(runtime string, way LoadWay) []LoadSample {
	return slices.DeleteFunc(slices.Clone(r.Loads), func(s LoadSample) bool {
		return s.Runtime != runtime || s.Way != way || s.Error != ""
	})
}

// faster gives how many times longer the whole import took in the same round.
func (r *Report) faster(of func(LoadSample) Loading, way LoadWay, whole func(Loading) float64) func(string) []float64 {
	return func(runtime string) []float64 {
		var all []float64
		for _, s := range r.loadsOf(runtime, way) {
			for _, w := range r.loadsOf(runtime, WayWhole) {
				if w.Round == s.Round && of(s).Seconds > 0 {
					all = append(all, some(whole(of(w))/of(s).Seconds)...)
				}
			}
		}
		return all
	}
}

func (r *Report) addLoad(name string, unit Unit, goal *target, values func(runtime string) []float64) {
	f := LoadFigure{Name: name, Unit: unit, Values: map[string]*Spread{}}
	if goal != nil {
		f.Must, f.Aim, f.AtLeast, f.Met = &goal.must, &goal.aim, goal.atLeast, map[string]string{}
	}
	for _, runtime := range r.Settings.Load.Runtimes {
		f.Values[runtime] = SpreadOf(values(runtime))
		if goal != nil {
			f.Met[runtime] = goal.met(f.Values[runtime])
		}
	}
	r.LoadFigures = append(r.LoadFigures, f)
}

// loadTable writes a report of loads: a row for each figure.
func (r *Report) loadTable() string {
	var b strings.Builder
	for _, line := range append(r.where(), r.loadOrigin()...) {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	rows := [][]string{append([]string{"three nodes", "must", "aim"}, r.Settings.Load.Runtimes...)}
	for _, f := range r.LoadFigures {
		sign := "≤"
		if f.AtLeast {
			sign = "≥"
		}
		row := []string{f.Name, f.Unit.bound(sign, f.Must), f.Unit.bound(sign, f.Aim)}
		for _, runtime := range r.Settings.Load.Runtimes {
			cell := f.Values[runtime].text(f.Unit)
			if met := f.Met[runtime]; met != "" {
				cell += ", " + met
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	b.WriteString("\n" + markdown(rows))
	r.writeFailures(&b)
	return b.String()
}

// loadOrigin says what was measured, and how much of it.
func (r *Report) loadOrigin() []string {
	set, v := r.Settings.Load, r.Versions
	var images []string
	for _, runtime := range set.Runtimes {
		images = addNew(images, set.Images[runtime])
	}
	return []string{
		fmt.Sprintf("Kubernetes %s, kluster %s, image %s", v.Kubernetes, v.Kluster, strings.Join(images, ", ")),
		fmt.Sprintf("an image of %d layers of %d MB that cannot be compressed and one of %d bytes, which then changes, into %d nodes",
			set.Layers, set.LayerMB, set.SmallBytes, set.Nodes),
	}
}
