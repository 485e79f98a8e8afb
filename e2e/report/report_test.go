package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/golden"
)

func TestForms(t *testing.T) {
	r := sample()
	data, err := r.JSON()
	golden.Check(t, "testdata/report.json", string(must(t, data, err))+"\n")
	for _, form := range []struct {
		file  string
		write func(io.Writer) error
	}{
		{"testdata/junit.xml", r.WriteJUnit},
		{"testdata/summary.md", r.WriteMarkdown},
		{"testdata/summary.txt", r.WriteText},
	} {
		var b bytes.Buffer
		if err := form.write(&b); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, form.file, b.String())
	}
}

// TestJUnitParses sees that whatever a spec wrote, the file is XML.
func TestJUnitParses(t *testing.T) {
	r := sample()
	for i := range r.Specs {
		for j := range r.Specs[i].Attempts {
			r.Specs[i].Attempts[j].Message += "]]> \x00\x1b[2K \xff\xfe \ufffe"
			r.Specs[i].Attempts[j].Output = strings.Repeat("x", 2*junitOutput)
		}
	}
	var b bytes.Buffer
	if err := r.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal(b.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	if got := len(suites.Suites[0].Cases); got != len(r.Specs) {
		t.Errorf("%d cases for %d specs", got, len(r.Specs))
	}
	if b.Len() > 10*junitOutput {
		t.Errorf("%d bytes: output was not clipped", b.Len())
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	r := sample()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, FileName)} {
		got, folder, err := Load(path)
		if diff := cmp.Diff(r, must(t, got, err)); diff != "" {
			t.Errorf("%s: (-written +read)\n%s", path, diff)
		}
		if folder != dir {
			t.Errorf("%s: the folder is %s", path, folder)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if len(names) != 1 || err != nil {
		t.Errorf("left behind: %v %v", names, err)
	}
}

func TestLoadErrors(t *testing.T) {
	head := `{"apiVersion":"kluster.dev/v1alpha1","kind":"E2EReport","specs":[`
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "not JSON: unexpected end"},
		{"another file", "<testsuites/>", "not JSON: invalid character"},
		{"another object", `{"kind":"Cluster","apiVersion":"kluster.dev/v1alpha1"}`, `not an e2e report: kind is "Cluster"`},
		{"a list", `[]`, "not JSON: json: cannot unmarshal array"},
		{"another version", `{"kind":"E2EReport","apiVersion":"kluster.dev/v9"}`, `apiVersion "kluster.dev/v9": this kluster reads "kluster.dev/v1alpha1"`},
		{"another type", head + `5]}`, "not a good e2e report: json: cannot unmarshal number"},
		{"no name", head + `{"state":"passed"}]}`, "specs[0] has no name"},
		{"no state", head + `{"name":"a","state":"passed"},{"name":"b"}]}`, `specs[1] (b): state "" is none of`},
		{"back in time", head + `{"name":"a","state":"passed","attempts":[{"seconds":-1}]}]}`, "attempts[0] took -1 seconds"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, FileName), []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := Load(dir)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v does not say %q", err, test.want)
			}
		})
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "gone")} {
		if _, _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name %s", err, path)
		}
	}
}

func TestSummarize(t *testing.T) {
	conformance := func(s Spec) Spec { s.Labels = []string{"Conformance"}; return s }
	for _, test := range []struct {
		name        string
		specs       []Spec
		interrupted string
		want        Verdict
		headline    string
	}{
		{"nothing", nil, "", VerdictIncomplete, "no spec was planned"},
		{"one", []Spec{spec("a", Passed, 1)}, "", VerdictOK, "1 of 1 spec passed"},
		{"all", []Spec{spec("a", Passed, 1), spec("b", Passed, 1)}, "", VerdictOK, "all 2 specs passed"},
		{"a spec may skip itself", []Spec{spec("a", Passed, 1), spec("b", Skipped, 1)}, "", VerdictOK, "1 of 2 specs passed, 1 skipped"},
		{"nothing but skips", []Spec{spec("b", Skipped, 1)}, "", VerdictIncomplete, "0 of 1 spec passed, 1 skipped"},
		{"conformance may not skip", []Spec{spec("a", Passed, 1), conformance(spec("b", Skipped, 1))}, "", VerdictIncomplete, "1 of 2 specs passed, 1 skipped"},
		{"the tag counts too", []Spec{spec("a", Passed, 1), spec("b [Conformance]", Skipped, 1)}, "", VerdictIncomplete, "1 of 2 specs passed, 1 skipped"},
		{"missing", []Spec{spec("a", Passed, 1), {Name: "b", State: Missing}}, "", VerdictIncomplete, "1 of 2 specs passed, 1 missing"},
		{"interrupted", []Spec{spec("a", Passed, 1)}, "signal", VerdictIncomplete, "1 of 1 spec passed"},
		{"flaky", []Spec{spec("a", Passed, 1), spec("b", Flaky, 1)}, "", VerdictFlaky, "1 of 2 specs passed, 1 flaky"},
		{"flaky and missing", []Spec{spec("b", Flaky, 1), {Name: "c", State: Missing}}, "", VerdictIncomplete, "0 of 2 specs passed, 1 flaky, 1 missing"},
		{"failed before all", []Spec{spec("a", Failed, 1), spec("b", Flaky, 1), {Name: "c", State: Missing}}, "signal", VerdictFailed, "0 of 3 specs passed, 1 failed, 1 flaky, 1 missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := (&Report{Specs: test.specs, Interrupted: test.interrupted}).Summarize()
			if s.Verdict != test.want || s.Headline() != test.headline {
				t.Errorf("%s: %s, not %s: %s", s.Verdict, s.Headline(), test.want, test.headline)
			}
			if s.Passed+s.Failed+s.Flaky+s.Skipped+s.Missing != s.Planned {
				t.Errorf("%+v does not add up", s)
			}
		})
	}
}

func TestMessage(t *testing.T) {
	for _, test := range []struct {
		spec Spec
		want string
	}{
		{spec("a", Passed, 1), ""},
		{spec("a", Failed, 1), "because"},
		{Spec{State: Missing}, "planned, but it never ran"},
		{Spec{State: Missing, Attempts: []Attempt{{}}}, "it began, but never ended"},
		{Spec{State: Failed, Attempts: []Attempt{{State: "panicked"}}}, "panicked, without a message"},
		{Spec{State: Failed, Attempts: []Attempt{{State: "passed"}}}, "failed, though no attempt failed"},
	} {
		if got := test.spec.Message(); got != test.want {
			t.Errorf("%+v: %q, not %q", test.spec, got, test.want)
		}
	}
}

// TestMarkdownIsShort sees that a step summary stays far below GitHub's limit.
func TestMarkdownIsShort(t *testing.T) {
	r := many(450, 1, 0)
	for i := range r.Specs {
		r.Specs[i].Attempts[0].Message = strings.Repeat("no\n", 1<<14)
	}
	var b bytes.Buffer
	if err := r.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 128<<10 || !strings.Contains(b.String(), "- and 430 more\n") {
		t.Errorf("%d bytes", b.Len())
	}
}

func TestPlainAndClip(t *testing.T) {
	if got, want := plain("a\x1b[1;31mb\x1b[0m\x1b]8;;http://x\x07c\r\n\x00\xff\td\x1bM"), "abc\n\uFFFD\td"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	if got := clip("short", 5); got != "short" {
		t.Error(got)
	}
	if got, want := clip(strings.Repeat("é", 20), 9), "é\n... 32 B left out ...\néé"; !strings.HasPrefix(got, "é\n... ") || strings.Contains(got, "\uFFFD") {
		t.Errorf("%q, like %q", got, want)
	}
	for text, want := range map[string]bool{"": false, "a": false, "a\nb": false, "a\nb\n": false, "a\nb\nc": true} {
		if _, more := firstLines(text, 2); more != want {
			t.Errorf("%q: %t", text, more)
		}
	}
}

func FuzzParse(f *testing.F) {
	data, err := sample().JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"apiVersion":"kluster.dev/v1alpha1","kind":"E2EReport","specs":[{"name":"a","state":"missing","attempts":[{"seconds":1e300,"started":"9999-12-31T23:59:59Z","evidence":"../x"}]}]}`))
	f.Add([]byte(`{"apiVersion":"kluster.dev/v1alpha1","kind":"E2EReport","started":"2026-11-21T12:00:00Z","incidents":[{"time":"0001-01-01T00:00:00Z"}],"specs":[{"name":"[] [a [b]","state":"failed"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			return
		}
		first := mustJSON(t, r)
		again, err := Parse(first)
		if diff := cmp.Diff(string(first), string(mustJSON(t, must(t, again, err)))); diff != "" {
			t.Errorf("written and read again:\n%s", diff)
		}
		for _, write := range []func(io.Writer) error{
			r.WriteJUnit, r.WriteMarkdown, r.WriteText,
			func(w io.Writer) error { return r.WriteHTML(w, sampleEvidence()) },
		} {
			if err := write(io.Discard); err != nil {
				t.Error(err)
			}
		}
		c, err := Compare(Named{"a", r}, Named{"b", sample()})
		if err := must(t, c, err).WriteHTML(io.Discard); err != nil {
			t.Error(err)
		}
	})
}

// mustJSON is a report's JSON.
func mustJSON(t *testing.T, r *Report) []byte {
	t.Helper()
	data, err := r.JSON()
	return must(t, data, err)
}

func TestWriteInto(t *testing.T) {
	err := sample().Write(filepath.Join(t.TempDir(), "gone"))
	if err == nil || !strings.HasPrefix(err.Error(), "writing report: ") {
		t.Error(err)
	}
	if _, err := Compare(Named{"a", sample()}); failure.Code(err) != failure.CodeUsage {
		t.Error(err)
	}
}
