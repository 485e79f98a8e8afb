package chaos_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
)

// fault is something that is done to machines: nearly always kluster does it.
type fault struct {
	// words come after "kluster fault".
	words []string
	// do is for what is no fault of kluster's, and say tells what it does.
	do  func(ctx context.Context, x *experiment) error
	say string
}

// The faults. A process is killed once, and comes back by itself.
var (
	killed    = fault{words: []string{"kill"}}
	paused    = fault{words: []string{"pause"}}
	diskFull  = fault{words: []string{"disk-full"}}
	restarted = fault{do: restart, say: "restart of the containers, by the engine"}
)

func partition(direction string) fault {
	return fault{words: []string{"partition", "--direction", direction}}
}

func process(name string) fault { return fault{words: []string{"kill-process", "--process", name}} }

func latency(delay string) fault { return fault{words: []string{"latency", "--delay", delay}} }

func loss(percent string) fault { return fault{words: []string{"loss", "--percent", percent}} }

func (f fault) String() string {
	if f.do != nil {
		return f.say
	}
	return "kluster fault " + strings.Join(f.words, " ")
}

// restart is what a restart of the engine's containers is, of all targets at once.
func restart(ctx context.Context, x *experiment) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, machine := range x.targets {
		g.Go(func() error { return x.engine.Restart(ctx, machine) })
	}
	return g.Wait()
}

// begin begins the fault, and returns when it holds.
func (x *experiment) begin(ctx context.Context) {
	GinkgoHelper()
	f := x.row.fault
	if f.do != nil {
		Expect(f.do(ctx, x)).To(Succeed())
		return
	}
	lasts := x.row.lasts
	if x.row.starts { // until it is ended
		lasts += recovery
	}
	if x.row.stagger == 0 {
		x.order(ctx, lasts, x.targets...)
		return
	}
	for i, machine := range x.targets {
		x.order(ctx, x.row.lasts+time.Duration(i)*x.row.stagger, machine)
	}
}

// unfitHost is the exit code for what this machine, or its kernel, cannot do.
const unfitHost = 4

// order has kluster begin the fault of some machines, and notes when it will be undone.
// What undoes it then is kluster's too: nobody asks kluster anything until the cluster is whole.
func (x *experiment) order(ctx context.Context, lasts time.Duration, machines ...string) {
	GinkgoHelper()
	words := append([]string{"fault"}, x.row.fault.words...)
	words = append(words, "--cluster", c.Name, "--output", "json", "--detach")
	if lasts > 0 {
		words = append(words, "--for", lasts.String())
	}
	r := c.Run(ctx, append(words, machines...)...)
	if r.Code == unfitHost {
		Skip("kluster refuses: " + r.Stderr)
	}
	Expect(r.Code).To(BeZero(), r.String())
	var made []struct{ Until time.Time }
	r.Decode(&made)
	Expect(made).To(HaveLen(1))
	until := x.At(made[0].Until)
	if lasts == 0 {
		return
	}
	if x.undone == 0 {
		x.undone = until
	}
	x.last = until
}
