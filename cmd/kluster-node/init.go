package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/kluster-project/kluster/internal/nodeagent/boot"
	"github.com/kluster-project/kluster/internal/nodespec"
)

const systemd = "/lib/systemd/systemd"

// runInit becomes systemd, so that systemd is the node's first process. A load
// balancer has no systemd and needs nothing repaired.
func runInit(ctx context.Context, log *slog.Logger, args []string) error {
	machine, err := newMachine(log)
	if err != nil {
		return err
	}
	if machine.Node.Role == nodespec.RoleLoadBalancer {
		return runLoadBalancer(log)
	}
	if err := boot.Run(ctx, machine, boot.Steps); err != nil {
		return err
	}
	log.Info("node is prepared, starting systemd")
	if err := syscall.Exec(systemd, append([]string{systemd}, args...), os.Environ()); err != nil {
		return fmt.Errorf("starting %s: %w", systemd, err)
	}
	return nil
}

func newMachine(log *slog.Logger) (*boot.Machine, error) {
	node, err := boot.ReadNode("")
	if err != nil {
		return nil, err
	}
	return &boot.Machine{Kernel: boot.Linux{}, Node: node, Getenv: os.Getenv, Log: log}, nil
}

func runCgroups(_ context.Context, log *slog.Logger, args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	machine, err := newMachine(log)
	if err != nil {
		return err
	}
	return boot.Settle(machine)
}

func runVersion(_ context.Context, _ *slog.Logger, args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	_, err := fmt.Println(nodespec.Protocol)
	return err
}
