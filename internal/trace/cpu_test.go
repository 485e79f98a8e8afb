package trace

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	busy, total, err := parseStat("cpu  100 5 50 800 40 1 2 3 9 9\ncpu0 1 2 3 4\n")
	if err != nil || busy != 161 || total != 1001 {
		t.Errorf("%d of %d, %v", busy, total, err)
	}
	for _, bad := range []string{"", "cpu", "cpu0 1 2 3 4 5\n", "cpu 1 2 x 4 5\n", "cpu -1 2 3 4 5\n"} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q is fine?", bad)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("cpu  100 5 50 800 40 1 2 3 9 9\n")
	f.Add("cpu 9223372036854775807 9223372036854775807 1 1 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if busy, total, err := parseStat(text); busy < 0 || busy > total || err != nil && total != 0 {
			t.Errorf("%d of %d, %v", busy, total, err)
		}
	})
}

// A trace shows the use as counters of the host.
func TestCounters(t *testing.T) {
	r := New()
	r.samples = []sample{{r.began, 0, 0}, {r.began.Add(time.Second), 50, 200}, {r.began.Add(time.Second), 50, 200}}
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := `{"traceEvents":[{"name":"CPU busy %","ph":"C","ts":0,"pid":1,"tid":0,"args":{"busy":25}}],`
	if got := out.String(); !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
}

func TestSampleCPU(t *testing.T) {
	if _, err := os.Stat("/proc/stat"); err != nil {
		t.Skip("the kernel does not tell")
	}
	r := New()
	r.SampleCPU(t.Context())()
	if len(r.cpu()) == 0 {
		t.Error("nothing was noted")
	}
	var none *Recorder
	none.SampleCPU(t.Context())()
}

func TestUsage(t *testing.T) {
	at := func(ms int) time.Time { return time.Date(2026, 1, 1, 0, 0, 0, ms*1e6, time.UTC) }
	samples := []sample{{at(0), 0, 0}, {at(50), 0, 100}, {at(100), 100, 200}}
	for _, tc := range []struct {
		from, to int
		want     float64
		known    bool
	}{{0, 50, 0, true}, {50, 100, 1, true}, {0, 100, 0.5, true}, {25, 75, 0.5, true}, {100, 120, 0, false}, {300, 400, 0, false}} {
		got, known := usage(samples, at(tc.from), at(tc.to))
		if known != tc.known || got < tc.want-0.01 || got > tc.want+0.01 {
			t.Errorf("%d to %d: %v, %v", tc.from, tc.to, got, known)
		}
	}
	if _, known := usage(nil, at(0), at(1)); known {
		t.Error("known without samples")
	}
}
