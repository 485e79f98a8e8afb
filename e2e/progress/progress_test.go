package progress_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/progress"
	"github.com/kluster-project/kluster/e2e/runner"
)

// play shows a run in a bubble of fake time and gives what was printed.
func play(t *testing.T, opt progress.Options, run func(d *progress.Display)) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(*testing.T) {
		opt.Out = &out
		d := progress.New(opt)
		run(d)
		d.Close()
		d.Incident("one", "told to nobody")
	})
	return out.String()
}

func plan(names ...string) []runner.Spec {
	var specs []runner.Spec
	for _, name := range names {
		specs = append(specs, runner.Spec{Name: name, Serial: strings.HasPrefix(name, "serial")})
	}
	return specs
}

func start(d *progress.Display, spec string) {
	d.Event("one", event.Event{Kind: event.Start, Spec: spec})
}

func end(d *progress.Display, spec, state string, seconds float64, message string) {
	d.Event("one", event.Event{Kind: event.End, Spec: spec, State: state, Seconds: seconds, Message: message})
}

// aRun has every kind of end.
func aRun(d *progress.Display) {
	d.Begin(runner.Begin{Cluster: "one", Procs: 2, Specs: plan("a", "b", "c", "d", "serial e")})
	start(d, "a")
	start(d, "b")
	time.Sleep(40 * time.Second)
	end(d, "a", "passed", 40, "")
	start(d, "c")
	d.Event("one", event.Event{Kind: event.Failing, Spec: "b"})
	end(d, "b", "failed", 41, "\nexpected 1\x1b[2J\nto equal 2")
	start(d, "d")
	time.Sleep(25 * time.Second)
	end(d, "c", "skipped", 0.1, "no such device")
	d.Incident("one", "process 2 died")
	end(d, "d", "", 0, "")
	start(d, "serial e")
	end(d, "serial e", "passed", 1, "")
	d.Begin(runner.Begin{Cluster: "one", Round: 1, Procs: 1, Specs: plan("b")})
	start(d, "b")
	time.Sleep(30 * time.Second)
	end(d, "b", "passed", 30, "")
	d.Begin(runner.Begin{Cluster: "one", Procs: 2, Specs: plan("f")})
	start(d, "f")
	end(d, "f", "interrupted", 1, "enough")
	time.Sleep(30 * time.Second)
}

func TestPlain(t *testing.T) {
	got := play(t, progress.Options{Seconds: map[string]float64{"a": 40, "b": 50, "c": 70, "serial e": 5}}, aRun)
	want := `running 5 specs on one, 2 at once
· e2e 30s: 0 of 5 done, 2 running, ~1m25s left; longest: a (30s)
✗ b (failed, 41s): expected 1 [2J
· e2e 1m00s: 2 of 5 done, 1 failed, 2 running, ~55s left; longest: c (20s)
- c: skipped: no such device
! one: process 2 died
running 1 failed spec again on one, alone
· e2e 1m30s: 4 of 5 done, 1 skipped, 1 lost, 1 running, ~25s left; longest: b (25s)
~ b (30s): passed when it was run again: flaky
running 1 spec on one, 2 at once
· e2e 2m00s: 5 of 6 done, 1 flaky, 1 skipped, 1 lost
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// TestNote sees that a line from elsewhere stays above what is drawn live.
func TestNote(t *testing.T) {
	var out bytes.Buffer
	var live []string
	synctest.Test(t, func(t *testing.T) {
		d := progress.New(progress.Options{Out: &out, Terminal: true})
		d.Begin(runner.Begin{Procs: 1, Specs: plan("a")})
		start(d, "a")
		d.Note("interrupted")
		live = screen(t, out.String())
		d.Close()
	})
	if len(live) < 3 || live[1] != "interrupted" || !strings.Contains(live[2], "e2e ") {
		t.Errorf("the screen shows %q", live)
	}
	if left := screen(t, out.String()); len(left) != 2 {
		t.Errorf("after the end there is left: %q", left)
	}
}

func TestSilentSuite(t *testing.T) {
	got := play(t, progress.Options{}, func(d *progress.Display) {
		d.Begin(runner.Begin{Procs: 1, Specs: plan("a")})
		time.Sleep(31 * time.Second)
		end(d, "a", "failed", 3, "no")
	})
	want := `running 1 spec, 1 at once
· e2e 30s: 1 spec, none has begun as far as the suite tells
✗ a (failed, 3.0s): no
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

var wipe = regexp.MustCompile("^\x1b\\[(\\d+)A\r\x1b\\[J")

// screen replays what was written to a terminal: text, newlines, colours and "up
// N lines and clear to the end".
func screen(t *testing.T, written string) []string {
	t.Helper()
	var lines []string
	for written != "" {
		if m := wipe.FindStringSubmatch(written); m != nil {
			up, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			if up > len(lines) {
				t.Fatalf("up %d lines from line %d", up, len(lines))
			}
			lines = lines[:len(lines)-up]
			written = written[len(m[0]):]
			continue
		}
		line, rest, ok := strings.Cut(written, "\n")
		if !ok {
			t.Fatalf("a line has no end: %q", written)
		}
		lines, written = append(lines, line), rest
	}
	return lines
}

func TestTerminal(t *testing.T) {
	var out bytes.Buffer
	var live []string
	synctest.Test(t, func(t *testing.T) {
		d := progress.New(progress.Options{Out: &out, Terminal: true, Color: true, Width: func() int { return 40 }})
		var names []string
		for i := range 15 {
			names = append(names, fmt.Sprintf("[sig-node] a spec with quite a long name %02d", i))
		}
		d.Begin(runner.Begin{Cluster: "one", Procs: 15, Specs: plan(append(names, "last")...)})
		for _, name := range names {
			start(d, name)
		}
		d.Event("one", event.Event{Kind: event.Failing, Spec: names[0]})
		time.Sleep(65*time.Second + 100*time.Millisecond) // between two ticks
		end(d, names[14], "failed", 65, "no")
		start(d, "last")
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		live = screen(t, out.String())
		d.Close()
	})
	want := []string{
		"running 16 specs on one, 15 at once",
		"\x1b[31m✗\x1b[0m [sig-node] a spec with quite a long name 14 (failed, 1m05s): no",
		"e2e 1m05s: 1 of 16 done, \x1b[31m1 failed\x1b[0m, 1…",
		"   1m05s  \x1b[31mfailed, collecting evidence:…\x1b[0m",
		"   1m05s  [sig-node] a spec with quite…",
		"  and 3 more",
	}
	if len(live) != 2+1+12+1 {
		t.Fatalf("the screen has %d lines: %q", len(live), live)
	}
	_, live[2], _ = strings.Cut(live[2], " ") // the spinner
	got := append(live[:5:5], live[15])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
	after := screen(t, out.String())
	if len(after) != 2 {
		t.Errorf("after the end there is left: %q", after)
	}
}
