package status_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/status"
)

// play runs f on a display in a bubble of fake time and gives what was printed.
func play(t *testing.T, opt status.Options, f func(d *status.Display)) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(*testing.T) {
		opt.Out = &out
		d := status.New(opt)
		f(d)
		d.Close()
	})
	return out.String()
}

func TestPlain(t *testing.T) {
	tests := map[string]struct {
		run  func(d *status.Display)
		want string
	}{
		"a step": {func(d *status.Display) {
			done := d.Start("network", 0)
			time.Sleep(1240 * time.Millisecond)
			done(nil)
		}, "✓ network (1.2s)\n"},
		"a failed step": {func(d *status.Display) {
			d.Start("network", 0)(errors.New("boom"))
		}, "✗ network (0.0s)\n"},
		"a skipped step": {func(d *status.Display) {
			d.Start("image", 0)(fmt.Errorf("x: %w", status.Skip("have it")))
		}, "- image (0.0s, x: skipped: have it)\n"},
		"only the first end counts": {func(d *status.Display) {
			done := d.Start("network", 0)
			done(nil)
			done(errors.New("late"))
		}, "✓ network (0.0s)\n"},
		"steps of a step": {func(d *status.Display) {
			image := d.Step("node image", 0)
			a, b := image.Step("etcd", 0), image.Step("runc", 0)
			time.Sleep(70*time.Second + plainHalfTick)
			b.End(nil)
			a.End(nil)
			image.End(nil)
		}, "· node image: etcd: 15s\n· node image: runc: 15s\n" +
			"· node image: etcd: 45s\n· node image: runc: 45s\n" +
			"✓ node image: runc (1m10s)\n✓ node image: etcd (1m10s)\n✓ node image (1m10s)\n"},
		"an estimate from the start": {func(d *status.Display) {
			done := d.Start("build", 3*time.Minute)
			time.Sleep(20 * time.Second)
			done(nil)
		}, "· build: 15s, ~2m45s left\n✓ build (20s)\n"},
		"an estimate from progress": {func(d *status.Display) {
			s := d.Step("load", time.Hour)
			s.Progress(1, 4)
			s.Detail("layer 2 of 5")
			time.Sleep(16 * time.Second)
			s.End(nil)
		}, "· load: 15s, 25%, ~45s left, layer 2 of 5\n✓ load (16s)\n"},
		"late": {func(d *status.Display) {
			s := d.Step("load", 5*time.Second)
			s.Progress(7, 7)
			time.Sleep(16 * time.Second)
			s.End(nil)
		}, "· load: 15s, 100%\n✓ load (16s)\n"},
		"a line": {func(d *status.Display) { d.Note("raised it\n") }, "raised it\n"},
		"closed": {func(d *status.Display) {
			done := d.Start("x", 0)
			d.Close()
			done(nil)
			d.Note("y")
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, play(t, status.Options{}, test.run)); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVerbosity(t *testing.T) {
	tests := map[string]struct {
		verbosity status.Verbosity
		want      string
	}{
		"quiet":   {status.Quiet, ""},
		"normal":  {status.Normal, "✓ step (0.0s)\nlevel=WARN msg=careful\n"},
		"verbose": {status.Verbose, "✓ step (0.0s)\nlevel=DEBUG msg=asking node=a\nlevel=WARN msg=careful\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := play(t, status.Options{Verbosity: test.verbosity}, func(d *status.Display) {
				d.Start("step", 0)(nil)
				d.Logger().Debug("asking", slog.String("node", "a"))
				d.Logger().Warn("careful")
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

// screen replays what was written to a terminal: text, newlines and the one
// sequence the display uses, "up N lines and clear to the end".
func screen(t *testing.T, written string) []string {
	t.Helper()
	var lines []string
	for written != "" {
		if rest, ok := strings.CutPrefix(written, "\x1b["); ok {
			var up int
			if _, err := fmt.Sscanf(rest, "%dA\r\x1b[J", &up); err != nil {
				t.Fatalf("unknown sequence at %q", written)
			}
			if up > len(lines) {
				t.Fatalf("up %d lines from line %d", up, len(lines))
			}
			lines = lines[:len(lines)-up]
			_, written, _ = strings.Cut(written, "J")
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
	var live []string
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		d := status.New(status.Options{Out: &out, Terminal: true, Width: func() int { return 30 }})
		image := d.Step("node image", 2*time.Minute)
		d.Start("network", 0)(nil)
		part := image.Step("etcd with a very long name of its own", 0)
		time.Sleep(2*time.Second + terminalHalfTick)
		synctest.Wait()
		live = screen(t, out.String())
		part.End(nil)
		image.End(errors.New("no"))
		d.Close()
	})
	wantLive := []string{
		"✓ network (0.0s)",
		"⠋ node image (2.0s, ~1m58s l…",
		"  ⠙ etcd with a very long na…",
	}
	if diff := cmp.Diff(wantLive, live); diff != "" {
		t.Errorf("screen under way (-want +got):\n%s", diff)
	}
	wantEnd := []string{
		"✓ network (0.0s)",
		"✓ node image: etcd with a very long name of its own (2.0s)",
		"✗ node image (2.0s)",
	}
	if diff := cmp.Diff(wantEnd, screen(t, out.String())); diff != "" {
		t.Errorf("screen at the end (-want +got):\n%s", diff)
	}
}

// Half a refresh interval keeps what a test does away from a refresh, which
// could come before or after it in the same instant.
const (
	plainHalfTick    = 500 * time.Millisecond
	terminalHalfTick = 50 * time.Millisecond
)

func TestTerminalShowsAFewOfMany(t *testing.T) {
	var live []string
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		d := status.New(status.Options{Out: &out, Terminal: true})
		for i := range 11 {
			d.Start(fmt.Sprint("step ", i), 0)
		}
		live = screen(t, out.String())
		d.Close()
	})
	if len(live) != 9 || live[8] != "  and 3 more" {
		t.Errorf("screen = %q, want 8 steps and \"and 3 more\"", live)
	}
	if left := screen(t, out.String()); len(left) != 0 {
		t.Errorf("Close left %q", left)
	}
}

func TestColor(t *testing.T) {
	got := play(t, status.Options{Terminal: true, Color: true}, func(d *status.Display) { d.Start("x", 0)(nil) })
	if !strings.Contains(got, "\x1b[32m✓\x1b[0m x") {
		t.Errorf("no green mark in %q", got)
	}
}

func TestManyGoroutines(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		out := play(t, status.Options{Terminal: terminal}, func(d *status.Display) {
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					s := d.Step("outer", 0)
					s.Progress(int64(i), 20)
					s.Detail("busy")
					s.Start("inner", 0)(nil)
					d.Note("note")
					s.End(nil)
				})
			}
			wg.Wait()
		})
		for _, want := range []string{"✓ outer (", "✓ outer: inner (", "note\n"} {
			if n := strings.Count(out, want); n != 20 {
				t.Errorf("terminal %v: %q printed %d times, want 20", terminal, want, n)
			}
		}
	}
}

func TestDiscard(t *testing.T) {
	var s status.Reporter = status.Discard
	step := s.Step("x", 0)
	step.Progress(1, 2)
	step.Detail("y")
	step.Note("z")
	step.Start("part", 0)(nil)
	step.End(nil)
}

func TestSmart(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	env := func(string) (string, bool) { return "xterm", true }
	for name, w := range map[string]any{"buffer": &bytes.Buffer{}, "file": file, "nil": nil} {
		if status.Smart(w, env) {
			t.Errorf("a %s is taken for a terminal", name)
		}
	}
}

func TestShort(t *testing.T) {
	tests := map[time.Duration]string{
		-time.Second:                   "0.0s",
		0:                              "0.0s",
		990 * time.Millisecond:         "0.9s",
		12400 * time.Millisecond:       "12s",
		200 * time.Second:              "3m20s",
		65*time.Minute + time.Second*3: "1h05m",
	}
	for in, want := range tests {
		if got := status.Short(in); got != want {
			t.Errorf("Short(%v) = %q, want %q", in, got, want)
		}
	}
}
