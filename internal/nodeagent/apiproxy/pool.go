package apiproxy

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/kluster-project/kluster/internal/wait"
)

// health of a server; the order is the order of preference.
type health int

const (
	ready health = iota
	unknown
	dead
)

func (h health) String() string { return [...]string{"ready", "unknown", "dead"}[h] }

// server is an API server. Its fields below mu's are guarded by pool.mu.
type server struct {
	addr string
	own  bool
	// nudge asks for a check now.
	nudge chan struct{}

	// retired servers get no new sessions. They are watched until their last one has
	// ended, so that nobody stays with a dead one.
	retired  bool
	health   health
	fails    int
	sessions map[*session]struct{}
}

// pool knows the servers and who talks to them.
type pool struct {
	timing Timing
	log    *slog.Logger
	dialer *net.Dialer
	own    string
	// begun is closed when the first server is ready, and here when the node's
	// own is, if it has one.
	begun, here chan struct{}

	mu      sync.Mutex
	servers []*server
	closed  bool
	turn    int // rotates among servers that are equally good
}

func newPool(config Config) *pool {
	p := &pool{
		timing: config.Timing, log: config.Log, begun: make(chan struct{}), here: make(chan struct{}),
		dialer: Dialer(config.Timing.Timeout), own: config.Own,
	}
	p.set(config.Servers)
	return p
}

// set makes these the servers, and gives those that are new. The others are retired.
func (p *pool) set(addrs []string) (added []*server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.servers {
		s.retired = !slices.Contains(addrs, s.addr)
	}
	for _, addr := range addrs {
		if slices.ContainsFunc(p.servers, func(s *server) bool { return s.addr == addr }) {
			continue
		}
		s := &server{
			addr: addr, own: addr == p.own, health: unknown,
			nudge: make(chan struct{}, 1), sessions: map[*session]struct{}{},
		}
		p.servers, added = append(p.servers, s), append(added, s)
	}
	return added
}

// forget drops a retired server when its last session has ended.
func (p *pool) forget(s *server) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.retired || len(s.sessions) > 0 {
		return false
	}
	p.servers = slices.DeleteFunc(p.servers, func(other *server) bool { return other == s })
	return true
}

// candidates are the servers in the order to try them: the ready ones first,
// the node's own before others, and others in turn.
func (p *pool) candidates() []*server {
	p.mu.Lock()
	defer p.mu.Unlock()
	current := slices.DeleteFunc(slices.Clone(p.servers), func(s *server) bool { return s.retired })
	turn := p.turn % max(1, len(current))
	order := append(slices.Clone(current[turn:]), current[:turn]...)
	if p.anyReady() {
		p.turn = turn + 1
	}
	slices.SortStableFunc(order, func(a, b *server) int {
		return cmp.Or(cmp.Compare(a.health, b.health), cmp.Compare(rank(a), rank(b)))
	})
	return order
}

func rank(s *server) int {
	if s.own {
		return 0
	}
	return 1
}

// anyReady says whether a session can go to a server that is ready. It is called with mu
// held.
func (p *pool) anyReady() bool {
	return slices.ContainsFunc(p.servers, func(s *server) bool { return s.health == ready && !s.retired })
}

// serve connects a client to the first server that takes it.
func (p *pool) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	// Until then nobody knows which server would answer.
	wait.ForOr(ctx, p.timing.Hold, p.begun)
	for _, s := range p.candidates() {
		upstream, err := p.dialer.DialContext(ctx, "tcp", s.addr)
		if err != nil {
			s.check()
			continue
		}
		session := newSession(client, upstream)
		if !p.join(s, session) {
			upstream.Close()
			continue
		}
		session.run()
		p.leave(s, session)
		return
	}
}

// check asks for a check of the server without waiting.
func (s *server) check() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// join enters a session, unless its server has died or gone while it was being dialled.
func (p *pool) join(s *server, session *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || (s.health == dead || s.retired) && p.anyReady() {
		return false
	}
	s.sessions[session] = struct{}{}
	return true
}

func (p *pool) leave(s *server, session *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(s.sessions, session)
}

// whenReady calls f once the node's own server is ready, or any where it has
// none, unless ctx ends first.
func (p *pool) whenReady(ctx context.Context, f func(context.Context)) {
	ready := p.begun
	if p.own != "" {
		ready = p.here
	}
	select {
	case <-ctx.Done():
	case <-ready:
		f(ctx)
	}
}

// begin says that a server is ready. It is called with mu held.
func (p *pool) begin(s *server) {
	closeOnce(p.begun)
	if s.own {
		closeOnce(p.here)
	}
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// report takes the result of a check. While a server is ready, nobody stays
// with a dead one; while none is, sessions are left where they are, since they
// may yet work and there is nothing better.
func (p *pool) report(s *server, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := s.health
	if ok {
		s.health, s.fails = ready, 0
		p.begin(s)
	} else if s.fails++; s.fails >= p.timing.Fails {
		s.health = dead
	}
	if s.health == before {
		return
	}
	p.log.Info("API server changed", "server", s.addr, "from", before, "to", s.health)
	if !p.anyReady() {
		return
	}
	for _, other := range p.servers {
		if other.health == dead {
			other.cut()
		}
	}
}

func (s *server) cut() {
	for session := range s.sessions {
		session.close()
	}
}

// close ends all sessions and lets no more begin.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.servers {
		s.cut()
	}
}
