package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodeagent/boot"
)

var errRuntimeUsage = errors.New("usage: kluster-node runtime stop R | use R [OCI] | start R | record R [OCI] | restore")

// runtimeActs are the parts of a change of the node's container runtime.
var runtimeActs = map[string]func(ctx context.Context, m *boot.Machine, runtime cri.Runtime, oci string) error{
	"stop": func(ctx context.Context, m *boot.Machine, runtime cri.Runtime, _ string) error {
		return boot.StopRuntime(ctx, m, runtime)
	},
	"use": boot.UseRuntime,
	"start": func(ctx context.Context, m *boot.Machine, runtime cri.Runtime, _ string) error {
		return boot.StartRuntime(ctx, m, runtime)
	},
	"record": func(_ context.Context, m *boot.Machine, runtime cri.Runtime, oci string) error {
		return boot.RecordRuntime(m, runtime, oci)
	},
}

// runRuntime does one part; "restore" undoes those that were done, but a record.
func runRuntime(ctx context.Context, log *slog.Logger, args []string) error {
	machine, err := newMachine(log)
	if err != nil {
		return err
	}
	if len(args) == 1 && args[0] == "restore" {
		return boot.RestoreRuntime(ctx, machine)
	}
	if len(args) < 2 || len(args) > 3 || runtimeActs[args[0]] == nil {
		return errRuntimeUsage
	}
	runtime, err := cri.Get(args[1])
	if err != nil {
		return err
	}
	oci := ""
	if len(args) == 3 {
		oci = args[2]
	}
	return runtimeActs[args[0]](ctx, machine, runtime, oci)
}
