package netpol

import (
	"math/rand/v2"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netns"

	"github.com/kluster-project/kluster/internal/nodeagent/nft"
)

// render makes the rules of some policies of namespace x in town.
func render(t *testing.T, text string) Rules {
	t.Helper()
	w := town()
	w.Policies = policies(t, text)
	return Render(Compile(w))
}

func TestRender(t *testing.T) {
	for text, want := range map[string][]string{
		`{podSelector: {}}`: {`drop comment "x/p0"`},
		`{podSelector: {}, ingress: [{ports: [{port: 80}, {port: 90, endPort: 99}]}]}`: {
			"tcp dport { 80, 90-99 } return", `drop comment "x/p0"`,
		},
		`{podSelector: {}, ingress: [{ports: [{protocol: SCTP}]}, {ports: [{protocol: UDP, port: 53}]}]}`: {
			"meta l4proto sctp return", "udp dport 53 return", `drop comment "x/p0"`,
		},
		`{podSelector: {}, ingress: [{}]}`: {"return", `drop comment "x/p0"`},
		`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}], ports: [{port: 1}]}]}`: {
			"meta nfproto ipv4 ip saddr != 10.0.0.0/8 tcp dport 1 return", `drop comment "x/p0"`,
		},
		`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "fd00::7/16"}}]}]}`: {
			"ip6 daddr fd00::/16 return", `drop comment "x/p0"`,
		},
		`{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}`: {
			"ip daddr . tcp dport @port-tcp-web-4 return", "ip6 daddr . tcp dport @port-tcp-web-6 return", `drop comment "x/p0"`,
		},
	} {
		r := render(t, text)
		if len(r.chains) != 2 {
			t.Errorf("%s: %d chains", text, len(r.chains))
		}
		for name, got := range r.chains {
			if name != entry && !slices.Equal(got, want) {
				t.Errorf("%s:\n got %q\nwant %q", text, got, want)
			}
		}
	}
}

// Elements and chains of what did not change are not touched.
func TestUpdate(t *testing.T) {
	w := town()
	w.Policies = policies(t, `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: far}}}]}]}`)
	before := Render(Compile(w))
	if text := before.Update(before); text != "" {
		t.Errorf("nothing changed: %s", text)
	}
	w.Pods[0].Labels["app"] = "far"
	text := Render(Compile(w)).Update(before)
	var set string
	for name := range before.sets {
		if strings.HasPrefix(name, "pods-") && strings.HasSuffix(name, "-4") {
			set = name
		}
	}
	want := "add element inet kluster-policy " + set + " { 10.244.0.2 }\n" +
		"add element inet kluster-policy " + strings.TrimSuffix(set, "4") + "6 { fd00::2 }\n"
	if text != want {
		t.Errorf("got %s, want %s", text, want)
	}
	if text := render(t, "{podSelector: {matchLabels: {app: nobody}}}").Replace(); strings.Contains(text, "chain") {
		t.Errorf("nobody is isolated: %s", text)
	}
}

// A comment may name more policies than fit.
func TestComment(t *testing.T) {
	if got := comment(slices.Repeat([]string{"namespace/name"}, 50)); len(got) != commentMax {
		t.Errorf("%d bytes", len(got))
	}
}

// inNamespace gives the test a network of its own; it skips where that may not be
// made, or there is no nft.
func inNamespace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft here")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	ns, err := netns.New()
	if err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	t.Cleanup(func() { ns.Close() })
}

func table(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nft", "list", "table", "inet", Table).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// nft understands the rules of every case, and a table that was updated step by
// step holds what one made at once does.
func TestKernel(t *testing.T) {
	inNamespace(t)
	var worlds []World
	for _, c := range cases {
		w := town()
		w.Policies = policies(t, c.policies)
		worlds = append(worlds, w)
	}
	for seed := range uint64(30) {
		worlds = append(worlds, maker{rand.New(rand.NewPCG(seed, 1))}.world())
	}
	now := Rules{}
	for _, w := range worlds {
		next := Render(Compile(w))
		text := next.Update(now)
		if now.Empty() != next.Empty() {
			text = next.Replace()
		}
		if err := nft.Apply(t.Context(), text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		updated := sorted(table(t))
		if err := nft.Apply(t.Context(), next.Replace()); err != nil {
			t.Fatalf("%v\n%s", err, next.Replace())
		}
		if made := sorted(table(t)); updated != made {
			t.Fatalf("updated to\n%s\nmade at once\n%s\nby\n%s", updated, made, text)
		}
		if (updated == "") != next.Empty() {
			t.Fatalf("empty: %t, table %q", next.Empty(), updated)
		}
		now = next
	}
}

// sorted gives a table's text in an order of its own: nft lists objects in that of
// their making. Elements of a set are one after the other, over lines.
func sorted(text string) string {
	text = strings.ReplaceAll(text, ",\n", ", ")
	objects := strings.Split(text, "\n\n")
	for i, o := range objects {
		lines := strings.Split(strings.Trim(o, "}\n\t "), "\n")
		for j, line := range lines {
			if before, list, ok := strings.Cut(strings.Join(strings.Fields(line), " "), "elements = { "); ok {
				words := strings.Split(strings.TrimSuffix(list, " }"), ", ")
				slices.Sort(words)
				lines[j] = before + strings.Join(words, ", ")
			}
		}
		objects[i] = strings.Join(lines, "\n")
	}
	slices.Sort(objects)
	return strings.Join(objects, "\n")
}
