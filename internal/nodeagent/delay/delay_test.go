package delay

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// arrivals is a kernel's queue of a test: packets come when it says so.
type arrivals struct {
	come   chan []uint32
	closed chan struct{}

	mu   sync.Mutex
	gone []gone
	err  error
}

// gone is a word by which packets went.
type gone struct {
	last uint32
	at   time.Time
}

func newArrivals() *arrivals {
	return &arrivals{come: make(chan []uint32), closed: make(chan struct{})}
}

func (a *arrivals) packets() ([]uint32, error) {
	select {
	case ids := <-a.come:
		return ids, nil
	case <-a.closed:
		return nil, os.ErrClosed
	}
}

func (a *arrivals) accept(last uint32) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = append(a.gone, gone{last, time.Now()})
	return a.err
}

func TestPacketsGoWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArrivals()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		began := time.Now()
		go func() { done <- run(ctx, Config{Delay: 100 * time.Millisecond}, a) }()
		a.come <- []uint32{1, 2}
		time.Sleep(30 * time.Millisecond)
		a.come <- []uint32{3}
		time.Sleep(time.Second)
		a.come <- []uint32{4}
		time.Sleep(10 * time.Millisecond)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		close(a.closed)
		// Two at a time, and at the end what still waits.
		want := []gone{{2, began.Add(100 * time.Millisecond)}, {3, began.Add(130 * time.Millisecond)}, {4, began.Add(1040 * time.Millisecond)}}
		if !slices.EqualFunc(a.gone, want, func(x, y gone) bool { return x.last == y.last && x.at.Equal(y.at) }) {
			t.Errorf("got %v, want %v", a.gone, want)
		}
	})
}

func TestOrderIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArrivals()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		began := time.Now()
		go func() { done <- run(ctx, Config{Delay: 50 * time.Millisecond, Jitter: 50 * time.Millisecond}, a) }()
		for i := range uint32(1000) {
			a.come <- []uint32{i}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		close(a.closed)
		if !slices.IsSortedFunc(a.gone, func(x, y gone) int { return int(x.last) - int(y.last) }) || a.gone[len(a.gone)-1].last != 999 {
			t.Error("packets have overtaken others, or have stayed")
		}
		for _, g := range a.gone {
			if late := g.at.Sub(began.Add(time.Duration(g.last) * time.Millisecond)); late < 0 || late > 101*time.Millisecond {
				t.Errorf("packet %d was late by %v", g.last, late)
			}
		}
	})
}

func TestAQueueThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArrivals()
		close(a.closed)
		if err := run(t.Context(), Config{}, a); !errors.Is(err, os.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBadDelays(t *testing.T) {
	for _, c := range []Config{{Delay: -1}, {Delay: MaxDelay + 1}, {Delay: 1, Jitter: 2}} {
		if err := Run(t.Context(), c, func() { t.Error("it was ready") }); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestMessages(t *testing.T) {
	packet := func(id uint32) []byte {
		attrs := join(attr(77, []byte{1}), attr(attrPacketHeader, join(be32(id), []byte{8, 0, 1})))
		return message(messagePacket, 0, 5, attrs)
	}
	data := join(packet(7), message(unix.NLMSG_ERROR, 0, 0, nil), packet(8))
	var ids []uint32
	for kind, body := range messages(data) {
		if id, ok := packetID(kind, body); ok {
			ids = append(ids, id)
		}
	}
	if !slices.Equal(ids, []uint32{7, 8}) {
		t.Errorf("got %v", ids)
	}
}

// FuzzMessages: whatever the kernel says, reading it ends.
func FuzzMessages(f *testing.F) {
	f.Add(message(messagePacket, 0, 5, attr(attrPacketHeader, be32(3))))
	f.Add(join(message(messageConfig, 1, 2, nil), []byte{1, 0, 0, 0}))
	f.Fuzz(func(_ *testing.T, data []byte) {
		for kind, body := range messages(data) {
			packetID(kind, body)
			packetID(messagePacket, body)
		}
	})
}
