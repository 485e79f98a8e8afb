// Package delay keeps packets for a while that the kernel's packet filter hands to
// it, as sch_netem does in kernels that have that. A rule with the target NFQUEUE
// and its option bypass hands them over: while nobody listens, and so also when this
// process is killed, packets pass the rule as if it were not there.
//
// The packets stay in the kernel, and are told of by number only; their order is kept.
package delay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Config is what happens to the packets of a queue.
type Config struct {
	// Queue is the number that the rule gives.
	Queue uint16
	// Delay is how long each packet is kept, give or take Jitter.
	Delay, Jitter time.Duration
}

// MaxDelay is the longest delay: with it, what a fast connection sends still has room.
const MaxDelay = 10 * time.Second

// maxPackets is how many packets wait at most; more are lost, as they are in the
// queue of a slow link.
const maxPackets = 1 << 16

// kernelQueue is the kernel's end of a queue.
type kernelQueue interface {
	// packets gives the numbers of packets, which grow, as they come; at least one.
	packets() ([]uint32, error)
	// accept lets all packets go that have a number up to last.
	accept(last uint32) error
}

// held is a packet that waits.
type held struct {
	id  uint32
	due time.Time
}

// Run delays the packets of a queue until ctx ends, and then lets those go that still
// wait. It calls ready when packets are delayed.
func Run(ctx context.Context, c Config, ready func()) error {
	if c.Delay < 0 || c.Delay > MaxDelay || c.Jitter < 0 || c.Jitter > c.Delay {
		return fmt.Errorf("a delay of %s give or take %s is not possible: it must be at most %s, and the jitter at most the delay", c.Delay, c.Jitter, MaxDelay)
	}
	q, err := open(c.Queue)
	if err != nil {
		return err
	}
	defer q.close()
	ready()
	return run(ctx, c, q)
}

// run is Run on a queue that is open: one side hears of packets, the other lets them
// go. The kernel's queue is closed by the caller, which ends the first.
func run(ctx context.Context, c Config, q kernelQueue) error {
	ctx, stop := context.WithCancelCause(ctx)
	waiting := make(chan held, maxPackets)
	go func() { stop(hear(ctx, c, q, waiting)) }()
	last, err := release(ctx, q, waiting)
	if err != nil {
		return err
	}
	if last, waits := drain(waiting, last); waits {
		if err := q.accept(last); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// hear notes each packet with the time when it is to go, never before the one in
// front of it.
func hear(ctx context.Context, c Config, q kernelQueue, waiting chan<- held) error {
	var latest time.Time
	for {
		ids, err := q.packets()
		if err != nil {
			return err
		}
		now := time.Now()
		for _, id := range ids {
			if due := now.Add(c.Delay + jitter(c.Jitter)); due.After(latest) {
				latest = due
			}
			select {
			case waiting <- held{id, latest}:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// jitter is a time between -most and most.
func jitter(most time.Duration) time.Duration {
	if most == 0 {
		return 0
	}
	return rand.N(2*most+1) - most
}

// release lets packets go when they are due, as many with one word as are due at a
// time. It gives the one that it waited for when ctx ended.
func release(ctx context.Context, q kernelQueue, waiting <-chan held) (*held, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var next *held
	for {
		if next == nil {
			select {
			case p := <-waiting:
				next = &p
			case <-ctx.Done():
				return nil, nil
			}
		}
		timer.Reset(time.Until(next.due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return next, nil
		}
		last, after := next.id, (*held)(nil)
		for now := time.Now(); after == nil; {
			select {
			case p := <-waiting:
				if p.due.After(now) {
					after = &p
				} else {
					last = p.id
				}
				continue
			default:
			}
			break
		}
		if err := q.accept(last); err != nil {
			return nil, err
		}
		next = after
	}
}

// drain is the number of the last packet that still waits.
func drain(waiting <-chan held, next *held) (last uint32, waits bool) {
	if next != nil {
		last, waits = next.id, true
	}
	for {
		select {
		case p := <-waiting:
			last, waits = p.id, true
		default:
			return last, waits
		}
	}
}
