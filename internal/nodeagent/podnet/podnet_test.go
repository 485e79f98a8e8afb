package podnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var comparable = cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func node(name, addr string, ranges ...string) Peer {
	return Peer{Name: name, Addrs: []netip.Addr{netip.MustParseAddr(addr)}, Ranges: prefixes(ranges...)}
}

// script is a Cluster that says what a test wants it to.
type script struct{ self, all chan []Peer }

func (s script) Self(ctx context.Context, handle func([]Peer)) error {
	return play(ctx, s.self, handle)
}

func (s script) Nodes(ctx context.Context, handle func([]Peer)) error {
	return play(ctx, s.all, handle)
}

func play(ctx context.Context, from <-chan []Peer, handle func([]Peer)) error {
	for {
		select {
		case peers, ok := <-from:
			if !ok {
				return errors.New("the API is gone for good")
			}
			handle(peers)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// recorder is a Host that tells a test what it was asked for.
type recorder struct {
	calls chan string
	fail  chan error // one for a Publish to fail with
}

func (r recorder) Publish(ranges []netip.Prefix) error {
	r.calls <- fmt.Sprint("publish ", ranges)
	select {
	case err := <-r.fail:
		return err
	default:
		return nil
	}
}

func (r recorder) Route(routes []Route) error {
	r.calls <- fmt.Sprint("route ", routes)
	return nil
}

func (r recorder) Filter(context.Context, string) error {
	r.calls <- "filter"
	return nil
}

func (r recorder) want(t *testing.T, calls ...string) {
	t.Helper()
	for _, want := range calls {
		if got := <-r.calls; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func startService(t *testing.T) (script, recorder, func() error) {
	t.Helper()
	cluster := script{make(chan []Peer), make(chan []Peer)}
	host := recorder{make(chan string), make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	service := &Service{
		Name: "a", Pods: prefixes("10.244.0.0/16"), Cluster: cluster, Host: host, Log: slog.New(slog.DiscardHandler),
	}
	go func() { done <- service.Run(ctx) }()
	return cluster, host, func() error { cancel(); return <-done }
}

func TestService(t *testing.T) {
	cluster, host, stop := startService(t)
	self := node("a", "172.30.0.2", "10.244.0.0/24")
	cluster.self <- []Peer{{Name: "a"}} // registered, no range yet
	cluster.self <- []Peer{self}
	// Routes are left alone until all nodes are known.
	host.want(t, "filter", "publish [10.244.0.0/24]")
	b, c := node("b", "172.30.0.3", "10.244.1.0/24"), node("c", "fd00::4", "10.244.2.0/24")
	cluster.all <- []Peer{c, b, self} // c cannot be reached over IPv4
	host.want(t, "filter", "route [{10.244.1.0/24 172.30.0.3}]", "publish [10.244.0.0/24]")
	cluster.all <- []Peer{self}
	host.want(t, "filter", "route []", "publish [10.244.0.0/24]")
	// The node's own object going away takes nothing from its pods.
	cluster.all <- []Peer{b}
	host.want(t, "filter", "route [{10.244.1.0/24 172.30.0.3}]", "publish [10.244.0.0/24]")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestServiceTriesAgain(t *testing.T) {
	cluster, host, stop := startService(t)
	host.fail <- errors.New("disk full")
	cluster.self <- []Peer{node("a", "172.30.0.2", "10.244.0.0/24")}
	host.want(t, "filter", "publish [10.244.0.0/24]", "filter", "publish [10.244.0.0/24]")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestServiceReportsLostCluster(t *testing.T) {
	cluster, _, stop := startService(t)
	close(cluster.self)
	if err := stop(); err == nil {
		// Whether the stop or the loss is seen first is up to chance.
		t.Log("stopped before the loss was seen")
	}
}

func TestRules(t *testing.T) {
	got := Rules(prefixes("10.244.1.0/24"), prefixes("10.244.0.0/16"), prefixes("10.96.0.0/16"), netip.MustParseAddrPort("172.30.0.2:6443"))
	want := `table inet kluster
delete table inet kluster
table inet kluster {
	chain api_prerouting {
		type nat hook prerouting priority -99; policy accept;
		ip daddr 10.96.0.1 tcp dport 443 dnat ip to 172.30.0.2:6443
	}
	chain api_output {
		type nat hook output priority -99; policy accept;
		ip daddr 10.96.0.1 tcp dport 443 dnat ip to 172.30.0.2:6443
	}
	chain leave {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr { 10.244.1.0/24 } ip daddr != { 10.244.0.0/16 } masquerade fully-random
	}
	chain unserved_forward {
		type filter hook forward priority filter; policy accept;
		ip daddr { 10.96.0.0/16 } meta l4proto tcp reject with tcp reset
		ip daddr { 10.96.0.0/16 } reject with icmpx admin-prohibited
	}
	chain unserved_output {
		type filter hook output priority filter; policy accept;
		ip daddr { 10.96.0.0/16 } meta l4proto tcp reject with tcp reset
		ip daddr { 10.96.0.0/16 } reject with icmpx admin-prohibited
	}
}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRulesOfTheAPIServiceFollowTheFirstFamily(t *testing.T) {
	pods, services := prefixes("fd00:10:244::/56", "10.244.0.0/16"), prefixes("fd00:10:96::/112", "10.96.0.0/16")
	got := Rules(pods, pods, services, netip.MustParseAddrPort("[fd00::2]:6443"))
	if want := "ip6 daddr fd00:10:96::1 tcp dport 443 dnat ip6 to [fd00::2]:6443"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
	for _, other := range []netip.AddrPort{{}, netip.MustParseAddrPort("172.30.0.2:6443")} {
		if got := Rules(pods, pods, services, other); strings.Contains(got, "dnat") {
			t.Errorf("API server %v of another family or none:\n%s", other, got)
		}
	}
}

func TestDiff(t *testing.T) {
	r := func(dst, via string) Route { return Route{netip.MustParsePrefix(dst), netip.MustParseAddr(via)} }
	have := []Route{r("10.244.1.0/24", "172.30.0.3"), r("10.244.2.0/24", "172.30.0.4"), r("10.244.3.0/24", "172.30.0.5")}
	want := []Route{r("10.244.1.0/24", "172.30.0.3"), r("10.244.2.0/24", "172.30.0.9"), r("fd00:1::/64", "fd00::2")}
	remove, add := diff(have, want)
	if d := cmp.Diff([]int{2}, remove); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want[1:], add, comparable); d != "" {
		t.Error(d)
	}
}
