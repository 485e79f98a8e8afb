package ocishim

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBundle(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		dir  string
		ok   bool
	}{
		{"create", []string{"--root", "/run/r", "--log=/l", "--log-format", "json", "--systemd-cgroup", "create", "--bundle", "/b", "id"}, "/b", true},
		{"equals", []string{"create", "--bundle=/b", "id"}, "/b", true},
		{"short", []string{"run", "-b", "/b", "id"}, "/b", true},
		{"short equals", []string{"run", "-b=/b", "id"}, "/b", true},
		{"current folder", []string{"create", "id"}, ".", true},
		{"other command", []string{"--root", "/r", "start", "create"}, "", false},
		{"flag's value looks like a command", []string{"--root", "create", "delete", "x"}, "", false},
		{"nothing", nil, "", false},
		{"only flags", []string{"--version"}, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if dir, ok := Bundle(tc.args); dir != tc.dir || ok != tc.ok {
				t.Errorf("got %q %v, want %q %v", dir, ok, tc.dir, tc.ok)
			}
		})
	}
}

func TestAdapt(t *testing.T) {
	const spec = `{"ociVersion":"1.2.0","process":{"args":["sh"],"oomScoreAdj":-998,
		"rlimits":[{"type":"RLIMIT_NOFILE","hard":1048576,"soft":1024},{"type":"RLIMIT_CORE","hard":5,"soft":5},{"type":"RLIMIT_NEW","hard":9,"soft":9}]},
		"linux":{"resources":{"hugepageLimits":[{"pageSize":"2MB","limit":0}],"memory":{"limit":9007199254740993}}}}`
	const fine = `{"process":{"oomScoreAdj":300},"linux":{"resources":{"cpu":{"shares":2}}}}`
	limits := func(name string) (uint64, bool) {
		hard, ok := map[string]uint64{"RLIMIT_NOFILE": 20000, "RLIMIT_CORE": 10}[name]
		return hard, ok
	}
	for _, tc := range []struct {
		name, spec string
		limits     Limits
		want       string // "" is: left alone
	}{
		{
			"all", spec,
			Limits{NoSysResource: true, NoHugetlb: true, Rlimit: limits},
			`{"ociVersion":"1.2.0","process":{"args":["sh"],"oomScoreAdj":0,
			"rlimits":[{"type":"RLIMIT_NOFILE","hard":20000,"soft":1024},{"type":"RLIMIT_CORE","hard":5,"soft":5},{"type":"RLIMIT_NEW","hard":9,"soft":9}]},
			"linux":{"resources":{"memory":{"limit":9007199254740993}}}}`,
		},
		{"version", `{"ociVersion":"1.3.0"}`, Limits{Spec: "1.0.2"}, `{"ociVersion":"1.0.2"}`},
		{"the same version", `{"ociVersion":"1.0.2"}`, Limits{Spec: "1.0.2"}, ""},
		{"capable node", spec, Limits{Rlimit: limits}, ""},
		{"nothing to change", fine, Limits{NoSysResource: true, NoHugetlb: true, Rlimit: limits}, ""},
		{"no members", `{"process":null}`, Limits{NoSysResource: true, NoHugetlb: true, Rlimit: limits}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "config.json")
			if err := os.WriteFile(file, []byte(tc.spec), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := Adapt(dir, tc.limits); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if tc.want == "" {
				if string(got) != tc.spec {
					t.Errorf("was rewritten: %s", got)
				}
				return
			}
			if diff := cmp.Diff(decode(t, tc.want), decode(t, string(got))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAdaptRefusesDamage(t *testing.T) {
	for _, spec := range []string{"", "[]", `{"process":{"oomScoreAdj":"x"}}`, `{"process":{"rlimits":{}}}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(spec), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Adapt(dir, Limits{NoSysResource: true, Rlimit: hardLimit}); err == nil {
			t.Errorf("took %q", spec)
		}
	}
}

// decode keeps numbers as they are written: limits are larger than a float64
// can tell apart.
func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestHereKnowsTheFileLimit(t *testing.T) {
	if hard, ok := Here().Rlimit("RLIMIT_NOFILE"); !ok || hard == 0 {
		t.Errorf("got %d %v", hard, ok)
	}
}
