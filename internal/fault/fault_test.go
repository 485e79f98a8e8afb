package fault

import (
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/failure"
)

// TestTable holds every row to the same form: help is made of it.
func TestTable(t *testing.T) {
	var seen []Kind
	for _, info := range Kinds() {
		if info.Help == "" || info.Undone == "" || strings.HasSuffix(info.Help+info.Undone+info.Limits, ".") || len(info.Takes) == 0 {
			t.Errorf("%s: %+v", info.Kind, info)
		}
		if info.Undo != ByNode && info.Undo != ByGuard || slices.Contains(seen, info.Kind) {
			t.Errorf("%s: undo %q, or twice", info.Kind, info.Undo)
		}
		if info.Undo == ByGuard && info.Between {
			t.Errorf("%s: nodes do what is between them", info.Kind)
		}
		if at := info.AtLeast(); at < Shortest || at > DefaultFor {
			t.Errorf("%s: its default is too short for it: %v", info.Kind, at)
		}
		seen = append(seen, info.Kind)
		for _, p := range info.Params {
			if p.Help == "" || (p.Word == "") == (p.Words == nil) || p.Needed && p.Default != "" {
				t.Errorf("%s %s: %+v", info.Kind, p.Name, p)
			}
			if p.Default != "" && p.check(p.Default) != nil {
				t.Errorf("%s %s: its default is refused: %v", info.Kind, p.Name, p.check(p.Default))
			}
		}
		if _, err := Get(info.Kind); err != nil {
			t.Error(err)
		}
	}
}

func TestProcesses(t *testing.T) {
	for _, name := range ProcessNames() {
		p, ok := GetProcess(name)
		if !ok || (p.Program == "") == (p.Unit == "" && !p.Runtime) {
			t.Errorf("%s: it is found in one way: %+v", name, p)
		}
	}
}

func TestComplete(t *testing.T) {
	for name, test := range map[string]struct {
		spec Spec
		want Spec
		errs []string
	}{
		"defaults": {
			Spec{Kind: Partition, Nodes: []string{"worker-1"}},
			Spec{Kind: Partition, Nodes: []string{"worker-1"}, For: DefaultFor, Params: map[string]string{"direction": "both"}},
			nil,
		},
		"once": {
			Spec{Kind: KillProcess, Nodes: []string{"n"}, Params: map[string]string{"process": "etcd"}},
			Spec{Kind: KillProcess, Nodes: []string{"n"}, Params: map[string]string{"process": "etcd"}},
			nil,
		},
		"unknown kind": {Spec{Kind: "flood", Nodes: []string{"n"}}, Spec{}, []string{`unknown kind of fault "flood" (known: kill, pause, `}},
		"all at once": {
			Spec{Kind: Partition, Nodes: []string{"a$(x)", "n", "n"}, For: time.Millisecond, Params: map[string]string{"form": "n", "direction": "up", "from": "n,,m"}},
			Spec{},
			[]string{
				`"a$(x)" is no name of a node`, `node "n" is named twice`, "fault partition lasts from 1s to 1h0m0s, not 1ms",
				`no parameter "form"; did you mean "from"?`, `direction "up": must be one of: both, in, out`, `from "n,,m": "" is no name of a node`,
			},
		},
		"too short for its kind": {Spec{Kind: DiskFull, Nodes: []string{"n"}, For: 19 * time.Second}, Spec{}, []string{"fault disk-full lasts from 20s to 1h0m0s, not 19s"}},
		"long enough for its kind": {
			Spec{Kind: DiskFull, Nodes: []string{"n"}, For: 20 * time.Second},
			Spec{Kind: DiskFull, Nodes: []string{"n"}, For: 20 * time.Second, Params: map[string]string{}},
			nil,
		},
		"no nodes":        {Spec{Kind: Kill}, Spec{}, []string{"name at least one node"}},
		"needs a process": {Spec{Kind: KillProcess, Nodes: []string{"n"}}, Spec{}, []string{"needs process: kubelet, runtime"}},
		"sizes":           {Spec{Kind: Memory, Nodes: []string{"n"}, Params: map[string]string{"size": "-1Gi"}}, Spec{}, []string{"number of bytes more than 0"}},
		"counts":          {Spec{Kind: CPU, Nodes: []string{"n"}, Params: map[string]string{"cpus": "1e9"}}, Spec{}, []string{"must be a whole number"}},
		"path as a name":  {Spec{Kind: Kill, Nodes: []string{"../x"}}, Spec{}, []string{"no name of a node"}},
		"flag as a name":  {Spec{Kind: Kill, Nodes: []string{"--all"}}, Spec{}, []string{"no name of a node"}},
	} {
		t.Run(name, func(t *testing.T) {
			given := len(test.spec.Params)
			got, err := test.spec.Complete()
			if len(test.spec.Params) != given {
				t.Error("the caller's parameters were changed")
			}
			if test.errs == nil {
				if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
					t.Errorf("%v %s", err, diff)
				}
				return
			}
			if failure.Code(err) != failure.CodeUsage {
				t.Errorf("code %d: %v", failure.Code(err), err)
			}
			for _, want := range test.errs {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %s", err, want)
				}
			}
		})
	}
}

func TestOrders(t *testing.T) {
	now := time.Unix(1000, 0).UTC()
	good := Order{Node: "n", Active: Active{
		ID: "abcd2345", Cluster: "c", Kind: Partition, Nodes: []string{"n"}, Since: now, Until: now.Add(time.Minute), Undo: ByNode,
	}, Peers: []Peer{{Name: "m", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, In: true}}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	var read Order
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(good, read, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	for name, spoil := range map[string]func(*Order){
		"id":       func(o *Order) { o.ID = "../../etc" },
		"unit":     func(o *Order) { o.ID = "a b --user" },
		"too long": func(o *Order) { o.Until = now.Add(48 * time.Hour) },
		"backward": func(o *Order) { o.Until = now.Add(-time.Hour) },
		"address":  func(o *Order) { o.Peers = []Peer{{Name: "m", Addrs: []netip.Addr{{}}}} },
		"kind":     func(o *Order) { o.Kind = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			spoil(&o)
			if o.Check() == nil {
				t.Error("it is taken")
			}
		})
	}
}

// TestDocs sees that docs/faults.md has a row for every kind, with its parameters.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[Kind]string{}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			kind, row, _ := strings.Cut(name, "` |")
			rows[Kind(kind)] = row
		}
	}
	for _, info := range Kinds() {
		row, ok := rows[info.Kind]
		if !ok {
			t.Errorf("no row for %s", info.Kind)
		}
		for _, p := range info.Params {
			if !strings.Contains(row, "`--"+p.Name+" ") {
				t.Errorf("%s: no --%s", info.Kind, p.Name)
			}
		}
	}
}
