package bench

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOnly(t *testing.T) {
	for list, want := range map[string]string{
		"":            "1 1+2 3 3+3",
		"floor":       "",
		"floor,1":     "1",
		"3+3,1":       "1 3+3",
		"1,1":         "1",
		"floor,3,1+2": "1+2 3",
	} {
		cases, err := ParseOnly(list)
		if err != nil {
			t.Errorf("%q: %v", list, err)
		}
		var names []string
		for _, c := range cases {
			names = append(names, c.Name)
		}
		if diff := cmp.Diff(want, strings.Join(names, " ")); diff != "" {
			t.Errorf("%q: -want +got:\n%s", list, diff)
		}
	}
	for _, list := range []string{"2", "1,", ",", "1 3", "Floor"} {
		if got, err := ParseOnly(list); err == nil || !strings.Contains(err.Error(), "1+2") {
			t.Errorf("%q: got %v, %v; want an error that names the cases", list, got, err)
		}
	}
}

// TestNames sees that clusters of different cases and tools never share a name,
// and that names are fit for hosts.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases {
		for _, tool := range []string{klusterName, kindName} {
			name := c.cluster(tool)
			if seen[name] || !strings.HasPrefix(name, "bench-") || strings.ContainsAny(name, "+_ ") {
				t.Errorf("%s of %s is called %q", c.Name, tool, name)
			}
			seen[name] = true
		}
	}
}

// TestNamesOfFigures sees that targets and records name figures that there are.
func TestNamesOfFigures(t *testing.T) {
	r := fullReport()
	r.Summarize()
	found := map[string]bool{}
	for _, f := range r.Figures {
		if found[f.Name] {
			t.Errorf("two figures are called %q", f.Name)
		}
		found[f.Name] = true
	}
	for name := range targets {
		if !found[name] {
			t.Errorf("target of an unknown figure %q", name)
		}
	}
	for name := range recordedKind {
		if !found[name] {
			t.Errorf("record of an unknown figure %q", name)
		}
	}
}
