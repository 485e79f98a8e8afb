package scenario

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/configs"
	"github.com/kluster-project/kluster/internal/config"
)

func TestNamed(t *testing.T) {
	files, err := fs.Glob(configs.Scenarios(), "*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	all, err := Named()
	if err != nil || len(all) != len(files) {
		t.Fatalf("%d of %d, %v", len(all), len(files), err)
	}
	for i, s := range all {
		if s.Name+".yaml" != files[i] {
			t.Errorf("%s calls itself %s", files[i], s.Name)
		}
		if s.Summary() == "" || len(s.Summary()) > 100 {
			t.Errorf("%s: summary %q", s.Name, s.Summary())
		}
		if again, err := Load(s.Name, nil); err != nil || again.Name != s.Name {
			t.Errorf("%s by name: %v", s.Name, err)
		}
	}
}

func TestLoadOfNoFile(t *testing.T) {
	_, err := Load("lose-leadr", nil)
	if err == nil || !strings.Contains(err.Error(), `did you mean "lose-leader"?`) {
		t.Errorf("got %v", err)
	}
	if _, err = Load("./lose-leader", nil); err == nil || strings.Contains(err.Error(), "mean") {
		t.Errorf("got %v", err)
	}
	s, err := Load("-", strings.NewReader("name: mine\nsteps: [{wait: {for: 1s}}]"))
	if err != nil || s.Name != "mine" {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestBad: all problems of a file at once, each at its place.
func TestBad(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"f: the file is empty (start with name: and steps:)"}},
		{"two documents", "name: a\n---\nname: b\n", []string{"f:3:1: the file holds 2 YAML documents (one scenario has one document)"}},
		{"no steps", "name: A b\n", []string{
			"f:1:1: steps: there are none",
			"f:1:1: name: must be given, as a word (lower-case letters, digits and hyphens)",
		}},
		{"unknown field", "name: a\nstep: []\nsteps: [{wait: {for: 1s}}]", []string{`step: unknown field`}},
		{"nothing and too much", "name: a\nsteps:\n- name: x\n- clear: true\n  wait: {for: 1s, until: {undone: true}}\n", []string{
			"f:3:3: steps[0]: a step has one of fault, clear, wait, check and parallel, not 0",
			"f:4:3: steps[1]: a step has one of fault, clear, wait, check and parallel, not 2",
			"f:5:3: steps[1].wait: a wait has either for or until",
		}},
		{"faults", `name: a
steps:
- fault: {kind: kil, nodes: [leader]}
- fault: {kind: kill, nodes: [], for: 2h}
- fault: {kind: latency, nodes: [Leader, worker/0, $x], params: {dely: 5, delay: fast}}
- fault: {kind: kill, nodes: [all], from: [all]}
- fault: {kind: loss, nodes: [all], params: {from: a}}
`, []string{
			`f:3:11: steps[0].fault.kind: unknown kind of fault "kil"`,
			"f:4:23: steps[1].fault.nodes: name at least one node",
			"f:4:3: steps[1].fault: fault kill lasts from 1s to 1h0m0s, not 2h0m0s",
			`steps[2].fault.nodes[0]: "Leader" selects no node`,
			`steps[2].fault.nodes[1]: "worker/0" selects no node`,
			"steps[2].fault.nodes[2]: no earlier fault has as: x",
			`steps[2].fault: fault latency has no parameter "dely"; did you mean "delay"?`,
			`steps[2].fault: delay "fast": must be a time of at most 10s, like "100ms"`,
			"steps[3].fault.from: fault kill has no other side",
			"steps[4].fault.params[from]: is a list of selectors",
		}},
		{"conditions", `name: a
steps:
- check: {within: soon}
- check: {that: {ready: [all], undone: true}}
- wait: {until: {pods: {selector: a=b}}, timeout: -1s}
- check: {that: {command: {args: []}}}
- parallel: [{check: {that: {ready: []}}}]
- parallel: []
`, []string{
			"f:3:3: steps[0].check.that: must be given",
			`steps[0].check.within: must be a time like "20s" or "2m"`,
			"steps[1].check.that: a condition has one of",
			"steps[2].wait.until.pods.namespace: must be given",
			"steps[2].wait.timeout: must be a time",
			"steps[3].check.that.command.args: must be a program",
			"steps[4].parallel[0].check.that.ready: name at least one node",
			"steps[5].parallel: there are no steps",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("f", []byte(tc.text))
			var invalid *config.Invalid
			if !errors.As(err, &invalid) || len(invalid.Problems) != len(tc.want) {
				t.Fatalf("want %d problems, got %v", len(tc.want), err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in:\n%v", want, err)
				}
			}
		})
	}
}

func TestTitles(t *testing.T) {
	s, err := Parse("f", []byte(`name: a
steps:
- fault: {kind: kill, nodes: [leader, worker/any], for: 5s}
- clear: true
- wait: {for: 3s}
- wait: {until: {pods: {namespace: default, selector: app=x}}}
- check: {that: {refuses: [control-plane/1]}, within: 1s, during: 2s}
- check: {that: {command: {args: ["true", x]}}}
- {name: mine, parallel: [{clear: true}, {check: {that: {undone: true}}}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range s.Steps {
		got = append(got, s.Steps[i].title())
	}
	want := []string{
		"kill leader, worker/any for 5s", "undo all faults", "wait for 3s",
		"wait until pods of default app=x are Ready",
		"check that writes are refused by way of control-plane/1 within 1s for 2s",
		"check that true ends with code 0", "mine",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzParse: whatever a file holds, the answer is a scenario that can be reported on, or
// problems that have places in the file.
func FuzzParse(f *testing.F) {
	files, err := fs.Glob(configs.Scenarios(), "*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := fs.ReadFile(configs.Scenarios(), file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	more, _ := filepath.Glob("testdata/fuzz/*.yaml")
	for _, file := range more {
		f.Add([]byte(file))
	}
	f.Add([]byte("name: a\nsteps: [{parallel: [{parallel: [{parallel: [{clear: true}]}]}]}]"))
	f.Add([]byte("name: a\nsteps:\n- &a {wait: {for: 1s}}\n- *a\n- fault: {kind: loss, nodes: [$a], params: {percent: NaN}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f", data)
		if err == nil {
			if s.Name == "" || len(s.Steps) == 0 {
				t.Errorf("accepted %+v", s)
			}
			for _, r := range planned(s.Steps) {
				if r.Name == "" || r.State != Skipped {
					t.Errorf("bad report %+v", r)
				}
			}
			return
		}
		var invalid *config.Invalid
		if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
			t.Fatalf("the error is not an *Invalid with problems: %#v", err)
		}
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + len(data)/2 + 2
		for _, p := range invalid.Problems {
			if p.Message == "" || p.File != "f" || p.Line < 0 || p.Line > lines {
				t.Errorf("bad problem %+v", p)
			}
		}
	})
}
