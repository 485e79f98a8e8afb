package trace_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/trace"
)

// play records spans given in tenths of a second.
func play(t *testing.T, ends int, spans ...trace.Span) *trace.Recorder {
	t.Helper()
	return recorded(t, func(r *trace.Recorder) {
		r.Add(spans...)
		time.Sleep(tenths(ends))
	})
}

func tenths(n int) time.Duration { return time.Duration(n) * 100 * time.Millisecond }

// bubble is the time at which every bubble of fake time begins.
var bubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func span(kind trace.Kind, track, lane, name string, from, to int) trace.Span {
	return trace.Span{Kind: kind, Track: track, Lane: lane, Name: name, Start: bubble.Add(tenths(from)), End: bubble.Add(tenths(to))}
}

func TestSummary(t *testing.T) {
	r := play(t, 100,
		span(trace.Step, trace.Host, "plan", "nodes", 0, 20),
		span(trace.Act, trace.Host, "a", "create", 0, 5),
		span(trace.Act, trace.Host, "b", "create", 0, 19),
		span(trace.Step, trace.Host, "plan", "control plane", 20, 90),
		span(trace.Act, trace.Host, "a", "kubeadm", 20, 50),
		span(trace.Act, trace.Host, "b", "kubeadm", 20, 90),
		// What the other node did explains nothing.
		span(trace.Detail, "a", "etcd", "starts", 60, 90),
		span(trace.State, "b", "api", "no answer", 20, 89),
		span(trace.Detail, "b", "etcd", "starts", 22, 60),
		span(trace.Detail, "b", "kube-apiserver", "starts", 70, 90),
	)
	want := `What the end waited for, 10.00s in all. From, for, CPU busy; indented: what that waited for itself
   0.00s   2.00s    -  nodes
   0.00s   1.90s    -    b: create
   1.90s   0.10s    -    ? until its end
   2.00s   7.00s    -  control plane
   2.00s   7.00s    -    b: kubeadm
   2.00s   0.20s    -      ? until etcd: starts
   2.20s   3.80s    -      etcd: starts
   6.00s   1.00s    -      ? until kube-apiserver: starts
   7.00s   2.00s    -      kube-apiserver: starts
   9.00s   1.00s    -  ? until its end
`
	if diff := cmp.Diff(want, r.Summary()); diff != "" {
		t.Error(diff)
	}
}

// Steps that run at once are explained by their own acts.
func TestSummaryOfStepsAtOnce(t *testing.T) {
	act := func(within, name string, from, to int) trace.Span {
		s := span(trace.Act, trace.Host, "n", name, from, to)
		s.Within = within
		return s
	}
	text := play(t, 30,
		span(trace.Step, trace.Host, "plan", "one", 0, 30), act("one", "ours", 2, 28),
		span(trace.Step, trace.Host, "plan", "two", 5, 25), act("two", "theirs", 5, 29),
	).Summary()
	if !strings.Contains(text, "n: ours\n") || strings.Contains(text, "theirs") {
		t.Error(text)
	}
}

// A summary is one screen, and keeps what took longest with what it explains.
func TestSummaryIsOneScreen(t *testing.T) {
	spans := []trace.Span{span(trace.Step, trace.Host, "plan", "long", 100, 900)}
	for i := range 100 {
		spans = append(spans, span(trace.Step, trace.Host, "plan", fmt.Sprint("step ", i), i, i+1))
	}
	spans = append(spans, span(trace.Act, trace.Host, "n", strings.Repeat("wide ", 100), 100, 500), span(trace.Act, trace.Host, "n", "other", 500, 900))
	text := play(t, 900, spans...).Summary()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > 25 {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if len([]rune(l)) > 110 {
			t.Errorf("a line of %d columns", len([]rune(l)))
		}
	}
	for _, want := range []string{"80.00s    -  long\n", "40.00s    -    n: other\n", "shorter ones\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestSummaryOfNothing(t *testing.T) {
	want := "What the end waited for, 0.50s in all. From, for, CPU busy; indented: what that waited for itself\n" +
		"   0.00s   0.50s    -  ? until its end\n"
	if diff := cmp.Diff(want, play(t, 5).Summary()); diff != "" {
		t.Error(diff)
	}
}
