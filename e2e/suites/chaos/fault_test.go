package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
)

// fault is something that is done to machines, and undone.
type fault struct {
	say   string
	begin func(ctx context.Context, x *experiment) error
	end   func(ctx context.Context, x *experiment, machine string) error
}

// each does something to all machines of a fault at once.
func each(do func(ctx context.Context, x *experiment, machine string) error) func(context.Context, *experiment) error {
	return func(ctx context.Context, x *experiment) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, machine := range x.targets {
			g.Go(func() error { return do(ctx, x, machine) })
		}
		return g.Wait()
	}
}

func start(ctx context.Context, x *experiment, machine string) error {
	return x.engine.Start(ctx, machine)
}

var killed = fault{
	say:   "kill -9 the container",
	begin: each(func(ctx context.Context, x *experiment, machine string) error { return x.engine.Kill(ctx, machine) }),
	end:   start,
}

var paused = fault{
	say: "pause the container",
	begin: each(func(ctx context.Context, x *experiment, machine string) error {
		return x.engine.API.ContainerPause(ctx, machine)
	}),
	end: func(ctx context.Context, x *experiment, machine string) error {
		return x.engine.API.ContainerUnpause(ctx, machine)
	},
}

var restarted = fault{
	say:   "restart the containers",
	begin: each(func(ctx context.Context, x *experiment, machine string) error { return x.engine.Restart(ctx, machine) }),
}

func partition(direction string) fault {
	return fault{
		say: "partition --direction " + direction,
		begin: each(func(ctx context.Context, x *experiment, machine string) error {
			var others []string
			for name, address := range x.etcd.addresses {
				if name != machine {
					others = append(others, address)
				}
			}
			peers := strings.Join(others, ", ")
			rules := "table ip chaos { "
			if direction != "out" {
				rules += fmt.Sprintf("chain in { type filter hook prerouting priority -350; ip saddr { %s } drop; } ", peers)
			}
			if direction != "in" {
				rules += fmt.Sprintf("chain out { type filter hook postrouting priority 350; ip daddr { %s } drop; } ", peers)
			}
			return x.exec(ctx, machine, "nft", rules+"}")
		}),
		end: func(ctx context.Context, x *experiment, machine string) error {
			return x.exec(ctx, machine, "nft", "delete table ip chaos")
		},
	}
}

// programs are the processes that can be killed, as pgrep finds them.
var programs = map[string]string{
	"haproxy": "haproxy", "kubelet": "kubelet", "runtime": "containerd", "etcd": "etcd", "apiserver": "kube-apiserver",
}

func process(name string) fault {
	return fault{
		say: "kill-process --process " + name,
		begin: each(func(ctx context.Context, x *experiment, machine string) error {
			return x.exec(ctx, machine, "pkill", "-KILL", "-x", programs[name])
		}),
	}
}

// exec runs a command in a machine.
func (x *experiment) exec(ctx context.Context, machine string, cmd ...string) error {
	r, err := x.engine.Exec(ctx, machine, cmd...)
	if err == nil && r.Code != 0 {
		err = errors.New(r.String())
	}
	return err
}

// undo is how a fault is ended; what it notes counts as the moment of it.
type undo func(ctx context.Context, x *experiment)

// atOnce ends it on all machines.
func atOnce(ctx context.Context, x *experiment) {
	GinkgoHelper()
	x.undone = x.Now()
	Expect(each(x.row.fault.end)(ctx, x)).To(Succeed())
}

// oneFirst ends it on one machine, and on the others when writes are taken again.
func oneFirst(ctx context.Context, x *experiment) {
	GinkgoHelper()
	x.undone = x.Now()
	Expect(x.row.fault.end(ctx, x, x.targets[0])).To(Succeed())
	x.awaitWrite(ctx)
	for _, machine := range x.targets[1:] {
		Expect(x.row.fault.end(ctx, x, machine)).To(Succeed())
	}
}
