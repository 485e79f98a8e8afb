// Package podnet is a node's default pod network: it learns from the API which
// pod ranges the node has and where those of the others are, and keeps the
// node's file of ranges (which the CNI plugin waits for), its routes and its
// packet rules accordingly. It acts on changes as they happen, and looks at
// everything again from time to time.
package podnet

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// resync is how often everything is set again: someone may have changed it.
const resync = 30 * time.Second

// Peer is what other nodes need to know of a node.
type Peer struct {
	Name string
	// Addrs are its internal addresses and Ranges its pod ranges.
	Addrs  []netip.Addr
	Ranges []netip.Prefix
}

// Cluster is what the API knows of nodes. Both methods call handle with all
// there is at first and after every change, until ctx ends, which gives its
// error; an API that is away or refuses is asked again.
type Cluster interface {
	// Self watches this node alone, which a kubelet's credentials always may.
	Self(ctx context.Context, handle func([]Peer)) error
	// Nodes watches all nodes.
	Nodes(ctx context.Context, handle func([]Peer)) error
}

// Host is what the service changes on its node. Each call says all that shall
// be; calls are repeated with the same argument.
type Host interface {
	// Publish tells the CNI plugin the node's pod ranges.
	Publish(ranges []netip.Prefix) error
	// Route makes these the only routes of the pod network.
	Route(routes []Route) error
	// Filter sets the packet rules.
	Filter(ctx context.Context, rules string) error
}

// Route leads to a pod range by way of a node.
type Route struct {
	Dst netip.Prefix
	Via netip.Addr
}

// Service is the pod network of one node.
type Service struct {
	// Name is the node's.
	Name string
	// Pods and Services are the cluster's subnets.
	Pods, Services []netip.Prefix
	// API is an API server, the node's own if it has one; see Rules.
	API     netip.AddrPort
	Cluster Cluster
	Host    Host
	Log     *slog.Logger
}

// state is what is known of the cluster.
type state struct {
	own   []netip.Prefix
	peers map[string]Peer
	// listed says whether all nodes were seen; before, routes are not touched,
	// since those of an earlier run may be right.
	listed bool
}

// Run serves until ctx ends, which is no error. Routes and rules stay, for the
// pods that go on running.
func (s *Service) Run(ctx context.Context) error {
	group, running := errgroup.WithContext(ctx)
	self, all := make(chan []Peer), make(chan []Peer)
	group.Go(func() error { return s.Cluster.Self(running, sender(running, self)) })
	group.Go(func() error { return s.Cluster.Nodes(running, sender(running, all)) })
	group.Go(func() error { s.loop(running, self, all); return nil })
	err := group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func sender(ctx context.Context, to chan<- []Peer) func([]Peer) {
	return func(peers []Peer) {
		select {
		case to <- peers:
		case <-ctx.Done():
		}
	}
}

// retry is how soon a change that could not be made is tried again.
const retry = time.Second

func (s *Service) loop(ctx context.Context, self, all <-chan []Peer) {
	var now state
	for {
		wait := resync
		if !s.apply(ctx, now) {
			wait = retry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case peers := <-self:
			now.own = s.ranges(peers, now.own)
		case peers := <-all:
			now.own = s.ranges(peers, now.own)
			now.peers, now.listed = byName(peers), true
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ranges finds the node's own ranges; ones it had once never change.
func (s *Service) ranges(peers []Peer, before []netip.Prefix) []netip.Prefix {
	for _, p := range peers {
		if p.Name == s.Name && len(p.Ranges) > 0 {
			return p.Ranges
		}
	}
	return before
}

func byName(peers []Peer) map[string]Peer {
	m := make(map[string]Peer, len(peers))
	for _, p := range peers {
		m[p.Name] = p
	}
	return m
}

// apply makes the node what now says, as far as it is known, and tells whether
// all of it worked. Rules come first: a pod's first packet must meet them.
func (s *Service) apply(ctx context.Context, now state) bool {
	if len(now.own) == 0 {
		return true
	}
	ok := s.try("packet rules", s.Host.Filter(ctx, Rules(now.own, s.Pods, s.Services, s.API)))
	if now.listed {
		ok = s.try("routes", s.Host.Route(s.routes(now))) && ok
	}
	return s.try("pod ranges", s.Host.Publish(now.own)) && ok
}

func (s *Service) try(what string, err error) bool {
	if err != nil {
		s.Log.Error("cannot set "+what, "error", err)
	}
	return err == nil
}

// routes to every other node's pods, in a fixed order.
func (s *Service) routes(now state) []Route {
	var routes []Route
	for _, name := range slices.Sorted(maps.Keys(now.peers)) {
		peer := now.peers[name]
		if name == s.Name {
			continue
		}
		for _, r := range peer.Ranges {
			via, ok := gateway(peer.Addrs, r.Addr().Is4())
			if !ok {
				s.Log.Warn("node has pods but no address of that family", "node", name, "range", r)
				continue
			}
			routes = append(routes, Route{Dst: r, Via: via})
		}
	}
	return routes
}

func gateway(addrs []netip.Addr, ipv4 bool) (netip.Addr, bool) {
	i := slices.IndexFunc(addrs, func(a netip.Addr) bool { return a.Is4() == ipv4 })
	if i < 0 {
		return netip.Addr{}, false
	}
	return addrs[i], true
}
