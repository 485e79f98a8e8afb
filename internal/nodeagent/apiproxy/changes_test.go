package apiproxy

import (
	"io"
	"testing"
	"time"
)

// changing is a proxy whose servers change.
func changing(t *testing.T, own string, addrs ...string) (*proxy, chan<- []string) {
	t.Helper()
	changes := make(chan []string)
	return startWith(t, Config{Own: own, Servers: addrs, Timing: timing, Changes: changes}, true), changes
}

// ended says in a channel how a session's next read ends.
func ended(session io.Reader) <-chan error {
	read := make(chan error, 1)
	go func() { _, err := session.Read(make([]byte, 1)); read <- err }()
	return read
}

func TestServersChange(t *testing.T) {
	a, b := startServer(t, "a"), startServer(t, "b")
	p, changes := changing(t, "", a.addr)
	p.until(t, ready, a)
	read := ended(p.hang(t))
	changes <- []string{b.addr}
	p.until(t, ready, b)
	for range 3 {
		p.wantName(t, "b")
	}
	select {
	case err := <-read:
		t.Fatalf("the session with the server that went ended: %v", err)
	default:
	}
	// It is watched as long as somebody talks to it.
	a.unready.Store(true)
	p.until(t, dead, a)
	if err := <-read; err == nil {
		t.Error("the session with a dead server goes on")
	}
	a.unready.Store(false)
	changes <- []string{a.addr, b.addr}
	p.until(t, ready, a)
	if x, y := p.name(t), p.name(t); x == y {
		t.Errorf("%s answers twice", x)
	}
}

func TestServerThatGoesIsForgotten(t *testing.T) {
	pool := newPool(Config{Servers: []string{"a", "b"}, Own: "a", Timing: timing})
	gone := pool.servers[0]
	talk := newSession(nil, nil)
	pool.servers[1].health = ready
	gone.sessions[talk] = struct{}{}
	if added := pool.set([]string{"b", "c"}); len(added) != 1 || added[0].addr != "c" {
		t.Errorf("added %v", added)
	}
	if pool.forget(gone) || pool.forget(pool.servers[1]) {
		t.Error("forgotten too early")
	}
	if pool.join(gone, newSession(nil, nil)) {
		t.Error("it got a new session")
	}
	pool.leave(gone, talk)
	if !pool.forget(gone) || len(pool.servers) != 2 {
		t.Errorf("not forgotten: %v", pool.servers)
	}
	for range 4 { // turns go on however many there are
		if got := pool.candidates(); got[0].addr != "b" {
			t.Errorf("first is %s", got[0].addr)
		}
	}
}

func TestNoServersAreNoChange(t *testing.T) {
	a := startServer(t, "a")
	p, changes := changing(t, "", a.addr)
	p.until(t, ready, a)
	changes <- nil
	select {
	case changes <- []string{a.addr}: // it still listens
	case <-time.After(10 * time.Second):
		t.Fatal("changes are not heard any more")
	}
	p.wantName(t, "a")
}
