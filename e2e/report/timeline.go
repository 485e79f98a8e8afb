package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/kluster-project/kluster/internal/status"
)

// Heights in pixels.
const (
	laneHeight = 16
	axisHeight = 22
)

// timeline shows one cluster: a lane for each parallel process, a bar for each
// attempt. An attempt that never ended lasts until the run did. All timelines of
// a report have the same scale. X and widths are in percent.
type timeline struct {
	Cluster string
	Height  int
	Ticks   []tick
	Lanes   []lane
	Bars    []bar
	Marks   []tick // incidents
	// Busy is the part of the processes' time in which specs ran, in percent.
	Busy int
}

type tick struct {
	X    float64
	Text string
}

type lane struct {
	Proc int
	Y    int
}

type bar struct {
	ID       int // of the spec
	State    State
	X, Width float64
	Y        int
	Text     string
}

// timelines draws the attempts of a report whose specs are in the page's order.
func timelines(r *Report) []timeline {
	from, to := r.span()
	if !to.After(from) {
		return nil
	}
	at := func(t time.Time) float64 { return 100 * t.Sub(from).Seconds() / to.Sub(from).Seconds() }
	var all []timeline
	for _, name := range r.clusterNames() {
		t := timeline{Cluster: name, Ticks: ticks(to.Sub(from))}
		t.lanes(r, name)
		busy := 0.0
		for id, s := range r.Specs {
			for _, a := range s.Attempts {
				if a.Cluster != name || a.Started.IsZero() {
					continue
				}
				took := a.Seconds
				if a.State == "" {
					took = to.Sub(a.Started).Seconds()
				}
				busy += took
				x := at(a.Started)
				state := a.state()
				if state == Failed && s.State == ExpectedFailure {
					state = ExpectedFailure
				}
				t.Bars = append(t.Bars, bar{
					ID: id, State: state, X: x, Width: max(0.1, min(100-x, 100*took/to.Sub(from).Seconds())),
					Y:    t.y(a.Proc) + 2,
					Text: fmt.Sprintf("%s\n%s, from +%s, %s", s.Name, a.word(), status.Short(a.Started.Sub(from)), shortSeconds(took)),
				})
			}
		}
		t.Busy = int(100 * busy / (to.Sub(from).Seconds() * float64(max(1, len(t.Lanes)))))
		for _, i := range r.Incidents {
			if x := at(i.Time); x >= 0 && x <= 100 {
				t.Marks = append(t.Marks, tick{x, plain(i.Text)})
			}
		}
		all = append(all, t)
	}
	return all
}

// state is ginkgo's state of an attempt as that of a spec.
func (a Attempt) state() State {
	switch a.State {
	case "passed":
		return Passed
	case "skipped":
		return Skipped
	case "":
		return Missing
	default:
		return Failed
	}
}

// span is the time from the first to the last thing of a run.
func (r *Report) span() (from, to time.Time) {
	from, to = r.Started, r.Ended
	for _, s := range r.Specs {
		for _, a := range s.Attempts {
			if a.Started.IsZero() {
				continue
			}
			if from.IsZero() || a.Started.Before(from) {
				from = a.Started
			}
			if end := a.Started.Add(time.Duration(a.Seconds * float64(time.Second))); end.After(to) {
				to = end
			}
		}
	}
	return from, to
}

// clusterNames are those that attempts ran on, in the report's order.
func (r *Report) clusterNames() []string {
	var names []string
	for _, c := range r.Clusters {
		names = append(names, c.Name)
	}
	ran := map[string]bool{}
	for _, s := range r.Specs {
		for _, a := range s.Attempts {
			if !a.Started.IsZero() {
				ran[a.Cluster] = true
			}
			if !slices.Contains(names, a.Cluster) {
				names = append(names, a.Cluster)
			}
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return !ran[n] })
}

// lanes makes one for each process of a cluster that ran something.
func (t *timeline) lanes(r *Report, cluster string) {
	var procs []int
	for _, s := range r.Specs {
		for _, a := range s.Attempts {
			if a.Cluster == cluster && !a.Started.IsZero() && !slices.Contains(procs, a.Proc) {
				procs = append(procs, a.Proc)
			}
		}
	}
	slices.SortFunc(procs, cmp.Compare)
	for i, p := range procs {
		t.Lanes = append(t.Lanes, lane{p, axisHeight + i*laneHeight})
	}
	t.Height = axisHeight + len(procs)*laneHeight
}

func (t *timeline) y(proc int) int {
	for _, l := range t.Lanes {
		if l.Proc == proc {
			return l.Y
		}
	}
	return 0
}

// tickSteps are the distances between ticks that people can count in.
var tickSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// ticks marks a length of time in at most ten steps where the table goes that
// far.
func ticks(length time.Duration) []tick {
	step := tickSteps[len(tickSteps)-1]
	for _, s := range tickSteps {
		if length/s <= 10 {
			step = s
			break
		}
	}
	step *= 1 + length/step/20
	var all []tick
	for at := time.Duration(0); at < length; at += step {
		all = append(all, tick{100 * at.Seconds() / length.Seconds(), tickText(at)})
	}
	return all
}

// tickText is 0, 30s, 4m, 1m30s or 2h15m.
func tickText(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	text := d.String()
	for _, zero := range []struct{ suffix, unit string }{{"m0s", "m"}, {"h0m", "h"}} {
		if n := len(text) - len(zero.suffix); n > 0 && text[n:] == zero.suffix {
			text = text[:n] + zero.unit
		}
	}
	return text
}
