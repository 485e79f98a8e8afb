package cluster

import (
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

func TestDynamicRange(t *testing.T) {
	for in, want := range map[string]string{
		"172.28.3.0/24": "172.28.3.128/25",
		"10.0.0.0/16":   "10.0.128.0/17",
		"fd00:1::/64":   "fd00:1::1:0:0/96",
		"fd00:1::/112":  "fd00:1::8000/113",
		"10.1.2.64/26":  "10.1.2.96/27",
	} {
		if got := dynamicRange(netip.MustParsePrefix(in)).String(); got != want {
			t.Errorf("dynamicRange(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestNodeAddrsAreInTheLowerHalf(t *testing.T) {
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
