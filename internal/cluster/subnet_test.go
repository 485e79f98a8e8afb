package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

func TestCandidatesSkipWhatIsTaken(t *testing.T) {
	taken := []netip.Prefix{netip.MustParsePrefix("172.28.0.0/23"), netip.MustParsePrefix("172.28.2.128/25")}
	var got []string
	for p := range candidates(taken) {
		if got = append(got, p.String()); len(got) == 2 {
			break
		}
	}
	if want := []string{"172.28.3.0/24", "172.28.4.0/24"}; !slices.Equal(got, want) {
		t.Errorf("candidates = %v, want %v", got, want)
	}
}

func TestCandidatesEndWhenAllIsTaken(t *testing.T) {
	for p := range candidates([]netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}) {
		t.Fatalf("got %v", p)
	}
}

func TestCandidatesCoverThePool(t *testing.T) {
	var all []netip.Prefix
	for p := range candidates(nil) {
		all = append(all, p)
	}
	if len(all) != 1024 || all[1023].String() != "172.31.255.0/24" {
		t.Errorf("%d candidates, the last %v", len(all), all[len(all)-1])
	}
}

func TestRanges(t *testing.T) {
	for in, want := range map[string][2]string{
		"172.28.3.0/24": {"172.28.3.192/26", "172.28.3.128/26"},
		"10.0.0.0/16":   {"10.0.192.0/18", "10.0.191.0/24"},
		"fd00:1::/64":   {"fd00:1::1:0:0/96", "fd00:1::ffff:ff00/120"},
		"fd00:1::/93":   {"fd00:1::1:0:0/96", "fd00:1::ffff:ff00/120"},
		"fd00:1::/94":   {"fd00:1::3:0:0/96", "fd00:1::2:ffff:ff00/120"},
		"fd00:1::/112":  {"fd00:1::c000/114", "fd00:1::bf00/120"},
		"10.1.2.64/26":  {"10.1.2.112/28", "10.1.2.96/28"},
		"10.1.2.8/29":   {"10.1.2.14/31", "10.1.2.12/31"},
	} {
		p := netip.MustParsePrefix(in)
		if got := dynamicRange(p).String(); got != want[0] {
			t.Errorf("dynamicRange(%s) = %s, want %s", in, got, want[0])
		}
		if got := balancerRange(p).String(); got != want[1] {
			t.Errorf("balancerRange(%s) = %s, want %s", in, got, want[1])
		}
	}
}

func TestBalancerAddrsAreNobodyElses(t *testing.T) {
	subnets := []netip.Prefix{netip.MustParsePrefix("172.28.3.0/24"), netip.MustParsePrefix("10.1.2.0/28"), netip.MustParsePrefix("10.1.3.0/29")}
	for nodes, want := range map[int]string{
		1:  "[172.28.3.128-172.28.3.191 10.1.2.8-10.1.2.11 10.1.3.4-10.1.3.5]",
		3:  "[172.28.3.128-172.28.3.191 10.1.2.8-10.1.2.11 10.1.3.5-10.1.3.5]",
		4:  "[172.28.3.128-172.28.3.191 10.1.2.8-10.1.2.11]",
		8:  "[172.28.3.128-172.28.3.191 10.1.2.10-10.1.2.11]",
		32: "[172.28.3.128-172.28.3.191]",
	} {
		if got := fmt.Sprint(balancerAddrs(subnets, nodes)); got != want {
			t.Errorf("of %d nodes: %s, want %s", nodes, got, want)
		}
	}
}

func TestNodeAddrsAreNotTheEngines(t *testing.T) {
	p := netip.MustParsePrefix("172.28.3.0/24")
	if got := nodeAddr(p, 0).String(); got != "172.28.3.2" {
		t.Errorf("first node at %s", got)
	}
	if last := nodeAddr(p, 31); dynamicRange(p).Contains(last) {
		t.Errorf("the last of 32 nodes is at %s, which the engine hands out", last)
	}
}

func TestSubnet6IsUniqueLocal(t *testing.T) {
	a, b := subnet6("one"), subnet6("two")
	ula := netip.MustParsePrefix("fd00::/8")
	if a == b || !ula.Contains(a.Addr()) || a.Bits() != 64 {
		t.Errorf("subnet6 = %v, %v", a, b)
	}
}
