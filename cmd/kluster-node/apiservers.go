package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/loadbalancer"
	"github.com/kluster-project/kluster/internal/nodeagent/boot"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// runAPIServers tells the node where the API servers are from now on: its record, the
// proxy, and the pod network where it goes by one that is no more.
func runAPIServers(ctx context.Context, log *slog.Logger, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: kluster-node api-servers ADDRESS [ADDRESS ...]")
	}
	machine, err := newMachine(log)
	if err != nil {
		return err
	}
	near := nearServer(machine.Node)
	if err := boot.RecordAPIServers(machine, args); err != nil {
		return err
	}
	return boot.TellAPIServers(ctx, machine, near.IsValid() && !slices.Contains(args, near.String()))
}

// apiServerChanges gives the API servers whenever the proxy is told that there are
// others, until ctx ends.
func apiServerChanges(ctx context.Context, log *slog.Logger) <-chan []string {
	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGHUP)
	changes := make(chan []string)
	go func() {
		defer signal.Stop(told)
		for {
			select {
			case <-ctx.Done():
				return
			case <-told:
			}
			node, err := boot.ReadNode("")
			if err != nil {
				log.Error("the API servers stay those of before", "error", err)
				continue
			}
			select {
			case <-ctx.Done():
				return
			case changes <- node.APIServers:
			}
		}
	}()
	return changes
}

// runBalancer makes the running haproxy serve what its configuration says by now.
func runBalancer(ctx context.Context, _ *slog.Logger, args []string) error {
	cut := slices.Equal(args, []string{"cut"})
	if len(args) > 0 && !cut {
		return errors.New("usage: kluster-node balancer [cut]")
	}
	config, err := os.ReadFile(nodespec.LoadBalancerConfig)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, balancerTime)
	defer cancel()
	return loadbalancer.Live{Socket: loadbalancer.Socket}.Apply(ctx, config, cut)
}
