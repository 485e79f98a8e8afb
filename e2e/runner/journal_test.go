package runner

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/report"
)

// beginning is the first line of a journal.
func beginning(names ...string) entry {
	plan := Plan{Description: "tiny"}
	for _, name := range names {
		plan.Specs = append(plan.Specs, Spec{Name: name})
	}
	return entry{Event: event.Event{Kind: kindBegin}, Begin: &begin{Suite: "tiny", Procs: 2, Plan: &plan}}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir, opening{begin: true})
	if err != nil {
		t.Fatal(err)
	}
	lines := []entry{
		beginning("a", "b", "c"),
		{Event: event.Event{Kind: event.Start, Spec: "a", Proc: 1}},
		{Event: event.Event{Kind: event.Start, Spec: "b", Proc: 2}},
		{Event: event.Event{Kind: event.End, Spec: "a", State: "passed"}},
		{Event: event.Event{Kind: event.Failing, Spec: "b", Message: "no"}, Evidence: "failures/b"},
	}
	for _, e := range lines {
		if err := j.add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(dir, opening{begin: true}); err == nil {
		t.Error("a journal was begun twice")
	}
	path := filepath.Join(dir, JournalFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The process was killed while it wrote the last line.
	if err := os.WriteFile(path, data[:len(data)-9], 0o644); err != nil {
		t.Fatal(err)
	}
	if j, err = openJournal(dir, opening{resume: true}); err != nil {
		t.Fatal(err)
	}
	if err := j.add(entry{Event: event.Event{Kind: kindIncident, Message: "taken up"}}); err != nil {
		t.Fatal(err)
	}
	j.close()
	h, err := readJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := h.report()
	states := map[string]report.State{}
	for _, s := range r.Specs {
		states[s.Name] = s.State
	}
	want := map[string]report.State{"a": report.Passed, "b": report.Missing, "c": report.Missing}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if len(r.Incidents) != 1 || len(r.Specs[1].Attempts) != 1 {
		t.Errorf("report: %+v", r)
	}
}

func TestJournalIsLocked(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir, opening{begin: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.add(beginning("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(dir, opening{resume: true}); err == nil || !strings.Contains(err.Error(), "is still under way") {
		t.Errorf("error: %v", err)
	}
	j.close()
	if j, err = openJournal(dir, opening{resume: true}); err != nil {
		t.Fatal(err)
	}
	j.close()
}

func TestEmptyJournal(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the first leaves nothing behind
		j, err := openJournal(dir, opening{begin: true})
		if err != nil {
			t.Fatal(err)
		}
		j.close()
	}
}

// TestNothingWritten sees that a runner that was killed before it had written its
// first line has begun nothing.
func TestNothingWritten(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "half a line": `{"kind":"beg`} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, JournalFile), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if r, err := Recorded(dir); r != nil || err != nil {
				t.Errorf("recorded: %+v, %v", r, err)
			}
			j, err := openJournal(dir, opening{begin: true, resume: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := j.add(beginning("a")); err != nil {
				t.Fatal(err)
			}
			j.close()
			if r, err := Recorded(dir); err != nil || len(r.Specs) != 1 {
				t.Errorf("recorded: %+v, %v", r, err)
			}
		})
	}
}

// TestLost sees that the report of a run whose runner was killed says so, as long as
// something is left of it.
func TestLost(t *testing.T) {
	early := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := history{
		beginning("a"),
		{Event: event.Event{Kind: event.Start, Spec: "a", Time: early.Add(time.Minute)}},
		{Event: event.Event{Kind: kindIncident, Message: "a node was away", Time: early}},
	}
	if r := h.report(); r.Interrupted != errLost.Error() || !r.Ended.Equal(early.Add(time.Minute)) || len(r.Incidents) != 1 {
		t.Errorf("report: %+v", r)
	}
	h = append(h, entry{Event: event.Event{Kind: event.End, Spec: "a", State: "passed"}})
	if r := h.report(); r.Interrupted != "" {
		t.Errorf("interrupted: %q", r.Interrupted)
	}
}

// TestHollowPass sees that a spec that did not begin is not taken for one that
// passed, whatever a suite tells.
func TestHollowPass(t *testing.T) {
	h := history{
		beginning("a", "b"),
		{Event: event.Event{Kind: event.End, Spec: "a", State: "passed"}},
		{Event: event.Event{Kind: event.End, Spec: "b", State: "failed"}},
	}
	specs := h.report().Specs
	if specs[0].State != report.Missing || len(specs[0].Attempts) > 0 || specs[1].State != report.Failed {
		t.Errorf("specs: %+v", specs)
	}
}

func TestJournalErrors(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":        {"", "it does not begin with a plan"},
		"no plan":      {`{"kind":"start"}` + "\n", "it does not begin with a plan"},
		"no JSON":      {"hello\n", "line 1: invalid character"},
		"cut at once":  {`{"kind":"beg`, "line 1: unexpected end"},
		"a wrong type": {`{"kind":"begin","begin":{"plan":{}}}` + "\n" + `{"proc":"x"}`, "line 2: json: cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseJournal(strings.NewReader(test.text)); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(`{"kind":"begin","begin":{"plan":{"specs":[{"name":"a"}]}}}` + "\n" + `{"kind":"start","spec":"a"}` + "\n" + `{"kind":"end","spec":"a","state":"passed"}`)
	f.Add(`{"kind":"begin","begin":{"plan":{}}}` + "\n" + `{"kind":"end","seconds":1e300}` + "\n" + `{"kind":"fai`)
	f.Add(`{"kind":"begin","begin":{"plan":{}}}` + "\n" + `{"kind":"begin"}`)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseJournal(strings.NewReader(text))
		if err != nil {
			return
		}
		r := h.report()
		if got := len(r.Specs); got < len(h.plan().Specs) {
			// The same name twice is one spec.
			names := map[string]bool{}
			for _, s := range h.plan().Specs {
				names[s.Name] = true
			}
			if got < len(names) {
				t.Errorf("%d specs are told of, of %d", got, len(names))
			}
		}
	})
}

func TestState(t *testing.T) {
	for states, want := range map[string]report.State{
		"":                   report.Missing,
		"none":               report.Missing,
		"interrupted":        report.Missing,
		"interrupted passed": report.Passed,
		"none passed":        report.Passed,
		"passed":             report.Passed,
		"failed":             report.Failed,
		"panicked timedout":  report.Failed,
		"aborted":            report.Failed,
		"failed passed":      report.Flaky,
		"passed failed":      report.Flaky,
		"failed skipped":     report.Failed,
		"failed interrupted": report.Failed,
		"skipped":            report.Skipped,
	} {
		var attempts []report.Attempt
		for _, s := range strings.Fields(states) {
			attempts = append(attempts, report.Attempt{State: strings.ReplaceAll(s, "none", "")})
		}
		if got := stateOf(attempts); got != want {
			t.Errorf("%q is %s, want %s", states, got, want)
		}
	}
}

func TestExactly(t *testing.T) {
	plan := Plan{Description: "a suite (of mine)"}
	var names []string
	for i := range 2000 {
		names = append(names, strings.Repeat("x", i%300)+" [odd] (a|b) $1 \\d spec")
	}
	f, err := plan.exactly(names)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Focus) < 2 {
		t.Errorf("%d arguments are too long", len(f.Focus))
	}
	for _, re := range f.Focus {
		if len(re) > 128<<10 {
			t.Errorf("an argument of %d bytes", len(re))
		}
	}
	re := regexp.MustCompile(strings.Join(f.Focus, "|")) // as ginkgo does
	for _, name := range names {
		if !re.MatchString(plan.Description + " " + name) {
			t.Errorf("%q is not picked", name)
		}
	}
	for _, name := range []string{names[0] + "s", "y" + names[0], "other"} {
		if re.MatchString(plan.Description + " " + name) {
			t.Errorf("%q is picked", name)
		}
	}
	if _, err := plan.exactly(slices.Repeat([]string{strings.Repeat("x", 1000)}, 3000)); err == nil {
		t.Error("3 MB of arguments were let through")
	}
}
