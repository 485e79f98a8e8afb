package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/golden"
)

// compared are two reports with each kind of difference.
func compared() []Named {
	one := &Report{Suite: "smoke", Started: noon, Ended: noon, Procs: 4, Clusters: []Cluster{{Name: "c", Kubernetes: "v1.36.3", Nodes: []Node{{Runtime: "containerd://2.4.2"}}}}, Specs: []Spec{
		spec("a both", Passed, 10), spec("b breaks", Passed, 3), spec("c slower", Passed, 10), spec("d much slower", Passed, 5),
		spec("e only here", Passed, 1), spec("f never", Failed, 2), spec("g twice", Passed, 1), spec("g twice", Failed, 1), spec("h quick", Passed, 0.1),
	}}
	two := &Report{Suite: "smoke", Started: noon, Ended: noon, Procs: 8, Clusters: []Cluster{{Name: "c", Kubernetes: "v1.36.3", Nodes: []Node{{Runtime: "docker://29.0.0"}}}}, Specs: []Spec{
		spec("a both", Passed, 12), spec("b breaks", Failed, 60), spec("c slower", Passed, 25), spec("d much slower", Passed, 50),
		spec("f never", Flaky, 2), spec("g twice", Passed, 1), spec("g twice", Failed, 1), spec("h quick", Passed, 0.5),
	}}
	return []Named{{"containerd", one}, {"cri-dockerd", two}}
}

func TestCompare(t *testing.T) {
	c, err := Compare(compared()...)
	must(t, c, err)
	got := map[string]Difference{}
	var order []string
	for _, s := range c.Specs {
		got[s.Name] = s.Difference
		order = append(order, s.Name)
	}
	want := map[string]Difference{
		"a both": Same, "b breaks": StateDiffers, "c slower": TimeDiffers, "d much slower": TimeDiffers, "e only here": Absent,
		"f never": Same, "g twice": Same, "h quick": Same,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"b breaks", "e only here", "d much slower", "c slower", "a both", "f never", "g twice", "g twice", "h quick"}, order); diff != "" {
		t.Error(diff)
	}
	if code := failure.Code(c.Err()); code != failure.CodeTests {
		t.Errorf("exit code %d", code)
	}
	data, err := c.JSON()
	golden.Check(t, "testdata/compare.json", string(must(t, data, err))+"\n")
	var b bytes.Buffer
	if err := c.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/compare.txt", b.String())
	b.Reset()
	if err := c.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 spec does not have the same result everywhere", "cri-dockerd: because", "the numbers of processes differ", "x10.00"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestCompareSame(t *testing.T) {
	c, err := Compare(Named{"a", sample()}, Named{"b", sample()}, Named{"c", sample()})
	must(t, c, err)
	if c.Err() != nil || len(c.Remarks) != 0 || c.Count(Same) != len(c.Specs) || c.Headline() != "no spec passes on one and fails on another" {
		t.Errorf("%v, %s, %q", c.Err(), c.Headline(), c.Remarks)
	}
	other := &Report{Specs: []Spec{spec("x", Passed, 1)}}
	c, err = Compare(Named{"a", sample()}, Named{"b", other})
	if must(t, c, err).Headline() != "the reports have no spec in common" {
		t.Error(c.Headline())
	}
}

func TestCompareErrors(t *testing.T) {
	for want, reports := range map[string][]Named{
		"comparing takes two reports or more": {{"a", sample()}},
		"the report a is given twice":         {{"a", sample()}, {"b", sample()}, {"a", sample()}},
	} {
		if _, err := Compare(reports...); err == nil || err.Error() != want || failure.Code(err) != failure.CodeUsage {
			t.Errorf("%v, not %s", err, want)
		}
	}
}

func TestLoadAll(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"x/report", "y/report", "z"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := sample().Write(path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	all, err := LoadAll(paths...)
	must(t, all, err)
	if all[0].Name != paths[0] || all[1].Name != paths[1] || all[2].Name != "z" {
		t.Errorf("%s, %s, %s", all[0].Name, all[1].Name, all[2].Name)
	}
	if _, err := LoadAll(paths[0], filepath.Join(dir, "gone")); err == nil {
		t.Error("no error for a report that is not there")
	}
}
