package trace_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/trace"
)

// event is one of the Chrome trace event format, as a viewer reads it.
type event struct {
	Name string
	Ph   string
	Cat  string
	Ts   *int64
	Dur  *int64
	Pid  *int
	Tid  *int
	S    string
	Args map[string]any
}

type document struct {
	TraceEvents []event
	OtherData   map[string]string
}

// written is a recorder's trace, checked to be one that viewers read.
func written(t *testing.T, r *trace.Recorder) document {
	t.Helper()
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	var doc document
	d := json.NewDecoder(&out)
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, e := range doc.TraceEvents {
		if e.Pid == nil || e.Tid == nil || e.Ts == nil || e.Name == "" {
			t.Fatalf("an event lacks fields: %+v", e)
		}
		thread := fmt.Sprint(*e.Pid, "/", *e.Tid)
		switch {
		case e.Ph == "M":
			named[e.Name+" "+thread] = true
			continue
		case e.Ph == "X" && (e.Dur == nil || *e.Dur < 0):
			t.Errorf("no duration: %+v", e)
		case e.Ph == "i" && (e.S != "t" || e.Dur != nil):
			t.Errorf("no instant: %+v", e)
		case e.Ph != "X" && e.Ph != "i":
			t.Errorf("unknown phase: %+v", e)
		}
		if !named["thread_name "+thread] || !named[fmt.Sprint("process_name ", *e.Pid, "/0")] {
			t.Errorf("%q is in a thread or process that has no name yet", e.Name)
		}
	}
	return doc
}

// threads are the names of what each thread shows, by the thread's number.
func (d document) threads() map[int][]string {
	all := map[int][]string{}
	for _, e := range d.TraceEvents {
		if e.Ph != "M" {
			all[*e.Tid] = append(all[*e.Tid], e.Name)
		}
	}
	return all
}

func (d document) names(metadata string) []string {
	var names []string
	for _, e := range d.TraceEvents {
		if e.Ph == "M" && e.Name == metadata {
			names = append(names, e.Args["name"].(string))
		}
	}
	return names
}

// recorded runs f in a bubble of fake time.
func recorded(t *testing.T, f func(r *trace.Recorder)) *trace.Recorder {
	t.Helper()
	var r *trace.Recorder
	synctest.Test(t, func(*testing.T) {
		r = trace.New()
		f(r)
		r.Finish()
	})
	return r
}

func TestWrite(t *testing.T) {
	r := recorded(t, func(r *trace.Recorder) {
		ctx := trace.NewContext(t.Context(), r)
		step := trace.Start(ctx, trace.Step, "plan", "nodes")
		time.Sleep(1500 * time.Microsecond)
		act := trace.Start(ctx, trace.Act, "c-1", "start")
		time.Sleep(time.Millisecond)
		act.EndWith(errors.New("broken"))
		r.Instant("c-1", "kubelet", "registered")
		step.End()
	})
	doc := written(t, r)
	if diff := cmp.Diff([]string{"host", "c-1"}, doc.names("process_name")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"plan", "c-1", "kubelet"}, doc.names("thread_name")); diff != "" {
		t.Error(diff)
	}
	found := 0
	for _, e := range doc.TraceEvents {
		switch {
		case e.Ph == "X" && e.Name == "start":
			found++
			if *e.Ts != 1500 || *e.Dur != 1000 || e.Cat != "act" || e.Args["error"] != "broken" {
				t.Errorf("got %+v at %d for %d", e, *e.Ts, *e.Dur)
			}
		case e.Ph == "X" && e.Name == "nodes":
			found++
			if *e.Ts != 0 || *e.Dur != 2500 || e.Cat != "step" {
				t.Errorf("got %+v", e)
			}
		case e.Ph == "i" && e.Name == "registered":
			found++
		}
	}
	if found != 3 {
		t.Errorf("%d of 3 events", found)
	}
	if _, err := time.Parse(time.RFC3339Nano, doc.OtherData["began"]); err != nil {
		t.Error(err)
	}
}

// Spans of one lane that overlap go to threads of their own; nested ones stay.
func TestOverlappingSpansAreApart(t *testing.T) {
	r := recorded(t, func(r *trace.Recorder) {
		at := func(ms int) time.Time { return time.Now().Add(time.Duration(ms) * time.Millisecond) }
		for _, s := range []struct {
			name     string
			from, to int
		}{{"outer", 0, 10}, {"inner", 2, 5}, {"over the edge", 4, 12}, {"after", 10, 11}, {"backwards", 13, 12}} {
			r.Add(trace.Span{Track: "n", Lane: "l", Name: s.name, Start: at(s.from), End: at(s.to)})
		}
	})
	var rows [][]string
	for _, names := range written(t, r).threads() {
		rows = append(rows, names)
	}
	slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	want := [][]string{{"outer", "inner", "after", "backwards"}, {"over the edge"}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

func TestNobodyRecords(t *testing.T) {
	var r *trace.Recorder
	r.Add(trace.Span{})
	r.Instant("a", "b", "c")
	r.Finish()
	lane := r.NewLane(trace.State, "a", "b")
	lane.Set("x", time.Now())
	lane.Reach("y", time.Now())
	lane.End(time.Now())
	if r.Spans() != nil || r.Summary() != "" {
		t.Error("nothing gives something")
	}
	ctx := t.Context()
	if allocs := testing.AllocsPerRun(100, func() {
		defer trace.Start(ctx, trace.Act, "n", "wait").End()
	}); allocs != 0 {
		t.Errorf("%v allocations where nobody records", allocs)
	}
}

func TestLane(t *testing.T) {
	r := recorded(t, func(r *trace.Recorder) {
		l := r.NewLane(trace.State, "n", "l")
		l.Set("pending", time.Now())
		time.Sleep(time.Second)
		l.Set("pending", time.Now())
		time.Sleep(time.Second)
		l.Set("running", time.Now())
		time.Sleep(time.Second)
		l.Reach("ready", time.Now())
		time.Sleep(time.Second)
		l.End(time.Now())
	})
	var got []string
	for _, s := range r.Spans() {
		got = append(got, fmt.Sprint(s.Name, " ", s.Duration()))
	}
	if diff := cmp.Diff([]string{"pending 2s", "running 1s", "ready 0s"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestManyAtOnce(t *testing.T) {
	r := trace.New()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				r.Start(trace.Act, "n", "x").End()
				_ = r.Summary()
			}
		})
	}
	group.Wait()
	if n := len(r.Spans()); n != 800 {
		t.Errorf("%d spans", n)
	}
	written(t, r)
}
