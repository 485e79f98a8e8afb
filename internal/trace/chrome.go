package trace

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// event is one of the Chrome trace event format. Times are microseconds since
// the recorder began.
type event struct {
	Name     string `json:"name"`
	Phase    string `json:"ph"`
	Category string `json:"cat,omitempty"`
	Time     int64  `json:"ts"`
	Duration *int64 `json:"dur,omitempty"`
	Process  int    `json:"pid"`
	Thread   int    `json:"tid"`
	Scope    string `json:"s,omitempty"`
	Args     any    `json:"args,omitempty"`
}

// document is a whole trace, in the format's object form.
type document struct {
	Events []event           `json:"traceEvents"`
	Unit   string            `json:"displayTimeUnit"`
	Other  map[string]string `json:"otherData"`
}

// Write writes the trace as JSON in the Chrome trace event format: a track is a
// process, and a lane is a thread, or several where its spans overlap.
func (r *Recorder) Write(w io.Writer) error {
	began, ended := r.Window()
	doc := document{Events: []event{}, Unit: "ms", Other: map[string]string{
		"began": began.UTC().Format(time.RFC3339Nano), "ended": ended.UTC().Format(time.RFC3339Nano),
	}}
	threads := 0
	for i, track := range byTrack(r.Spans()) {
		pid := i + 1
		doc.Events = append(doc.Events, named("process_name", pid, 0, track.name), sorted("process_sort_index", pid, 0, pid))
		for _, lane := range track.lanes {
			for _, row := range rows(lane.spans, began) {
				threads++
				doc.Events = append(doc.Events, named("thread_name", pid, threads, lane.name), sorted("thread_sort_index", pid, threads, threads))
				for _, s := range row {
					doc.Events = append(doc.Events, eventOf(s, began, pid, threads))
				}
			}
		}
	}
	doc.Events = append(doc.Events, counters(r.cpu(), began)...)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}

func named(what string, pid, tid int, name string) event {
	return event{Name: what, Phase: "M", Process: pid, Thread: tid, Args: map[string]string{"name": name}}
}

// sorted gives a process or a thread its place in the viewer.
func sorted(what string, pid, tid, place int) event {
	return event{Name: what, Phase: "M", Process: pid, Thread: tid, Args: map[string]int{"sort_index": place}}
}

func eventOf(s Span, began time.Time, pid, tid int) event {
	e := event{Name: s.Name, Category: kindNames[s.Kind], Time: micros(s.Start, began), Process: pid, Thread: tid}
	if s.Within != "" {
		if s.Args == nil {
			s.Args = map[string]string{}
		}
		s.Args["step"] = s.Within // of a copy; see Spans
	}
	if len(s.Args) > 0 {
		e.Args = s.Args
	}
	if s.Start.Equal(s.End) {
		e.Phase, e.Scope = "i", "t"
		return e
	}
	took := micros(s.End, began) - e.Time
	e.Phase, e.Duration = "X", &took
	return e
}

// counters show the use of the processors, in percent of all of them, on the
// host's track.
func counters(samples []sample, began time.Time) []event {
	var events []event
	for i := 1; i < len(samples); i++ {
		a, b := samples[i-1], samples[i]
		if b.total <= a.total {
			continue
		}
		busy := 100 * float64(b.busy-a.busy) / float64(b.total-a.total)
		events = append(events, event{
			Name: "CPU busy %", Phase: "C", Time: micros(a.at, began), Process: 1, Args: map[string]float64{"busy": busy},
		})
	}
	return events
}

func micros(t, began time.Time) int64 { return t.Sub(began).Microseconds() }

type track struct {
	name  string
	lanes []lane
}

type lane struct {
	name  string
	spans []Span
}

// byTrack sorts spans into tracks and lanes: the host and its plan come first,
// then all others by when they began.
func byTrack(spans []Span) []track {
	slices.SortStableFunc(spans, func(a, b Span) int {
		return cmp.Or(a.Start.Compare(b.Start), b.End.Compare(a.End))
	})
	var tracks []track
	for _, s := range spans {
		i := slices.IndexFunc(tracks, func(t track) bool { return t.name == s.Track })
		if i < 0 {
			i, tracks = len(tracks), append(tracks, track{name: s.Track})
		}
		t := &tracks[i]
		j := slices.IndexFunc(t.lanes, func(l lane) bool { return l.name == s.Lane })
		if j < 0 {
			j, t.lanes = len(t.lanes), append(t.lanes, lane{name: s.Lane})
		}
		t.lanes[j].spans = append(t.lanes[j].spans, s)
	}
	slices.SortStableFunc(tracks, func(a, b track) int {
		return cmp.Or(rank(a.name == Host)-rank(b.name == Host), cmp.Compare(a.name, b.name))
	})
	return tracks
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// rows spreads the spans of a lane, sorted by start, over as few rows as keep
// each row's spans apart or one inside the other: viewers show nothing else.
// Instants need no room and stay in the first row.
func rows(spans []Span, began time.Time) [][]Span {
	var out [][]Span
	var open [][]int64 // per row, the ends of the spans that are not over
	for _, s := range spans {
		start, end := micros(s.Start, began), micros(s.End, began)
		i := slices.IndexFunc(open, func(ends []int64) bool {
			ends = slices.DeleteFunc(slices.Clone(ends), func(e int64) bool { return e <= start })
			return len(ends) == 0 || end <= ends[len(ends)-1]
		})
		if i < 0 {
			i, out, open = len(out), append(out, nil), append(open, nil)
		}
		out[i] = append(out[i], s)
		if end > start {
			open[i] = append(slices.DeleteFunc(open[i], func(e int64) bool { return e <= start }), end)
		}
	}
	return out
}
