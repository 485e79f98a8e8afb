package plan

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

func load(t *testing.T) *Table {
	t.Helper()
	table, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func find(t *testing.T, name string) Suite {
	t.Helper()
	s, err := load(t).Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFind(t *testing.T) {
	if s := find(t, "conformance"); !s.Complete || s.Nodes != 2 || s.Program != Own || s.Estimate != 32*time.Minute {
		t.Errorf("conformance is %+v", s)
	}
	if s := find(t, "sig-network"); s.Name != "sig-network" || !strings.HasPrefix(s.Labels, "sig-network && ") {
		t.Errorf("sig-network is %+v", s)
	}
}

func TestFindUnknown(t *testing.T) {
	for name, want := range map[string]string{
		"conformence": `there is no suite "conformence" (did you mean "conformance"?)`,
		"sig-newtork": `there is no suite "sig-newtork" (did you mean "sig-network"?)`,
		"everything":  `there is no suite "everything"`,
		"":            `there is no suite ""`,
	} {
		_, err := load(t).Find(name)
		if err == nil || err.Error() != want || failure.Code(err) != failure.CodeUsage || len(failure.Hints(err)) != 1 {
			t.Errorf("%q: %v (code %d)", name, err, failure.Code(err))
		}
	}
}

func TestFindFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "[a]", "x_test.go")
	for _, sub := range []string{"[a]", "empty"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := load(t).Find(filepath.Dir(file))
	if err != nil || s.Program != Package || !slices.Equal(s.Packages, []string{filepath.Dir(file)}) {
		t.Errorf("got %+v, %v", s, err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "gone"):  "there is no such folder",
		filepath.Join(dir, "empty"): "the folder holds no _test.go file",
		file:                        "it is not a folder",
		"./a\x00b":                  "invalid argument",
	} {
		if _, err := load(t).Find(path); err == nil || !strings.Contains(err.Error(), want) || failure.Code(err) != failure.CodeUsage {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestParseTellsAllProblems(t *testing.T) {
	_, err := Parse([]byte(`
suites:
- {name: a, description: x, program: own, labels: "a &&"}
- {name: a, description: x, program: package}
- {name: b, program: other, nodes: -1}
- {name: c, description: x, program: own, packages: [y]}
sig: {name: "{sig}", description: x, program: own, labels: "{sig}"}
`))
	for _, want := range []string{
		`"a" is there twice`, `"a": label filter "a &&"`, `"a": program "package" without packages`,
		`"b": it lacks a name or description`, `"b": unknown program "other"`, `"b": nodes and estimate cannot be negative`,
		`"c": packages are for program "package"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in: %v", want, err)
		}
	}
	if _, err := Parse([]byte("suites:\n- {nome: a}\n")); err == nil || !strings.Contains(err.Error(), "nome") {
		t.Errorf("a field that there is not: %v", err)
	}
}

func TestFilter(t *testing.T) {
	two := Suite{Name: "two", Labels: "L", Specs: []string{"[a] one (x)", "[b] two"}}
	all := Suite{Name: "all", Labels: "A || B"}
	for name, test := range map[string]struct {
		suite Suite
		flags report.Filter
		want  report.Filter
	}{
		"as it is":    {all, report.Filter{}, report.Filter{Labels: "A || B"}},
		"narrowed":    {all, report.Filter{Labels: "!C", Focus: []string{"x"}, Skip: []string{"y"}}, report.Filter{Labels: "(A || B) && (!C)", Focus: []string{"x"}, Skip: []string{"y"}}},
		"of no label": {Suite{}, report.Filter{Labels: "C"}, report.Filter{Labels: "C"}},
		"names":       {two, report.Filter{}, report.Filter{Labels: "L", Focus: []string{`\[a\] one \(x\)$`, `\[b\] two$`}}},
		"a name":      {two, report.Filter{Focus: []string{"o.e", "none"}}, report.Filter{Labels: "L", Focus: []string{`\[a\] one \(x\)$`}}},
		"another":     {two, report.Filter{Skip: []string{"^.a"}}, report.Filter{Labels: "L", Focus: []string{`\[b\] two$`}}},
	} {
		got, err := test.suite.Filter(test.flags)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestFilterRefuses(t *testing.T) {
	for want, flags := range map[string]report.Filter{
		`--label-filter "a &&": `:                    {Labels: "a &&"},
		`--focus "[Serial": error parsing regexp`:    {Focus: []string{"x", "[Serial"}},
		`--skip "": it is empty`:                     {Skip: []string{""}},
		`no spec of suite smoke fits --focus "Pdos"`: {Focus: []string{"Pdos"}},
	} {
		_, err := find(t, "smoke").Filter(flags)
		if err == nil || !strings.HasPrefix(err.Error(), want) || failure.Code(err) != failure.CodeUsage || len(failure.Hints(err)) == 0 {
			t.Errorf("want %s..., got %v", want, err)
		}
	}
}

func TestCheck(t *testing.T) {
	list := []Conformance{{Name: "[sig-apps] StatefulSet a"}, {Name: "[sig-apps] StatefulSet b"}, {Name: "[sig-node] Pods c"}}
	all := Names(list)
	complete := Suite{Name: "conformance", Labels: "Conformance", Complete: true}
	some := Suite{Name: "smoke", Labels: "Conformance", Specs: all[1:]}
	only := Suite{Name: "sig-apps", Labels: "sig-apps"}
	for name, test := range map[string]struct {
		suite   Suite
		flags   report.Filter
		planned []string
		want    string
	}{
		"all":                     {suite: complete, planned: all},
		"one lacks":               {suite: complete, planned: all[:2], want: "suite conformance is not what its run would be: 1 spec is not in its program: [sig-node] Pods c"},
		"two more":                {suite: complete, planned: append([]string{"y", "x"}, all...), want: "suite conformance is not what its run would be: 2 specs are not in Kubernetes' conformance list: x; y"},
		"focused":                 {suite: complete, flags: report.Filter{Focus: []string{"StatefulSet"}}, planned: all[:2]},
		"focused, one lacks":      {suite: complete, flags: report.Filter{Focus: []string{"StatefulSet"}}, planned: all[:1], want: "1 spec is not in its program: [sig-apps] StatefulSet b"},
		"by labels":               {suite: complete, flags: report.Filter{Labels: "!Slow"}, planned: all[:1]},
		"nothing":                 {suite: complete, flags: report.Filter{Focus: []string{"Statefulset x", "Podz"}}, want: `no spec of suite conformance fits label filter "Conformance" with --focus "Statefulset x", "Podz" (did you mean "StatefulSet", "Pods"?)`},
		"nothing by labels":       {suite: only, flags: report.Filter{Labels: "x"}, want: `no spec of suite sig-apps fits label filter "(sig-apps) && (x)"`},
		"nothing but skip":        {suite: Suite{Name: "./x"}, flags: report.Filter{Skip: []string{"."}}, want: `no spec of suite ./x fits --skip "."`},
		"a package without specs": {suite: Suite{Name: "./x"}, want: "suite ./x has no spec"},
		"of names":                {suite: some, planned: all[1:]},
		"of names, one lacks":     {suite: some, planned: all[2:], want: "suite smoke is not what its run would be: 1 spec is not in its program: [sig-apps] StatefulSet b"},
		"of names, none is there": {suite: some, want: `no spec of suite smoke fits label filter "Conformance"`},
		"of a group":              {suite: only, planned: []string{"anything"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := test.suite.Filter(test.flags)
			if err != nil {
				t.Fatal(err)
			}
			err = test.suite.Check(f, test.planned, list)
			if (test.want == "") != (err == nil) || err != nil && !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestSomeNamesAFew(t *testing.T) {
	if got := some([]string{"1", "2", "3", "4", "5", "6", "7"}); got != "1; 2; 3; 4; 5; and 2 more" {
		t.Error(got)
	}
}

func TestParseConformance(t *testing.T) {
	list, err := ParseConformance([]byte("- testname: A\n  codename: '[sig-a] b\n    c [Conformance]'\n  description: d\n  release: v1.9, v1.18\n  file: f\n  behaviors: [x]\n"))
	want := []Conformance{{Name: "[sig-a] b c [Conformance]", Title: "A", Description: "d", Release: "v1.9, v1.18", File: "f"}}
	if diff := cmp.Diff(want, list); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for data, want := range map[string]string{
		"":                              "it is empty",
		"a: b":                          "cannot unmarshal",
		"- testname: A":                 "entry 1 has no codename",
		"- codename: A\n- codename: A":  `"A" is there twice`,
		"- codename: [a]":               "cannot unmarshal",
		"<html>not a list of specs</a>": "cannot unmarshal",
	} {
		if _, err := ParseConformance([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func FuzzConformance(f *testing.F) {
	f.Add([]byte("- testname: A\n  codename: '[sig-a] b'\n"))
	f.Add([]byte("- &a\n  codename: x\n- <<: *a\n  codename: y\n"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseConformance(data)
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%d entries, %v", len(list), err)
		}
		if d := Compare(Names(list), Names(list)); len(d.Missing)+len(d.Extra) > 0 {
			t.Fatalf("a list differs from itself: %+v", d)
		}
	})
}

// The names in suites.yaml are those of Kubernetes' own list.
func TestSmokeIsConformance(t *testing.T) {
	for _, version := range []string{"v1.36.3", "v1.35.4", "v1.34.4", "v1.33.13"} {
		t.Run(version, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(moduleCache(t), "k8s.io", "kubernetes@"+version, "test", "conformance", "testdata", "conformance.yaml"))
			if os.IsNotExist(err) {
				t.Skipf("the module cache does not hold k8s.io/kubernetes %s", version)
			}
			if err != nil {
				t.Fatal(err)
			}
			list, err := ParseConformance(data)
			if err != nil {
				t.Fatal(err)
			}
			if missing := Compare(Names(list), find(t, "smoke").Specs).Missing; len(missing) > 0 {
				t.Errorf("not in the list of %s: %s", version, strings.Join(missing, "\n"))
			}
			if version == "v1.36.3" && len(list) != 446 {
				t.Errorf("%d entries, want 446", len(list))
			}
			groups := load(t).SIGs
			for _, c := range list {
				if sig := sigOf.FindStringSubmatch(c.Name); sig == nil || !slices.Contains(groups, sig[1]) {
					t.Errorf("%s: its group is not in the table", c.Name)
				}
			}
		})
	}
}

var sigOf = regexp.MustCompile(`^\[sig-([a-z-]+)\]`)

func moduleCache(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestHandover(t *testing.T) {
	cluster := report.Cluster{Name: "c", Nodes: []report.Node{{Name: "n", Role: "worker"}}}
	env, err := Suite{Environment: map[string]string{"A": "1"}}.Handover("/k", cluster)
	want := []string{
		"A=1", "KLUSTER_E2E_CLUSTER=c",
		`KLUSTER_E2E_NODES=[{"name":"n","role":"worker","runtime":"","kubelet":"","kernel":"","os":""}]`, "KUBECONFIG=/k",
	}
	if diff := cmp.Diff(want, env); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if env, err := find(t, "kluster").Handover("/k", cluster); err != nil || !slices.Equal(env, []string{"KLUSTER_INTEGRATION=1"}) {
		t.Errorf("a suite that makes its clusters gets %v, %v", env, err)
	}
}

// The packages of kluster's own suite are there.
func TestOwnPackages(t *testing.T) {
	for _, dir := range find(t, "kluster").Packages {
		if tests, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go")); err != nil || len(tests) == 0 {
			t.Errorf("%s holds no specs (%v)", dir, err)
		}
	}
}
