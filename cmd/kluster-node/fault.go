package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodeagent/boot"
	"github.com/kluster-project/kluster/internal/nodeagent/faults"
	"github.com/kluster-project/kluster/internal/nodespec"
)

var errFaultUsage = errors.New("usage: kluster-node fault check | start | undo ID | work ID | list | addresses")

// mostOfOrder is far above any order.
const mostOfOrder = 1 << 20

// faultActs are what can be done about faults; check and start read an order.
var faultActs = map[string]func(ctx context.Context, m *faults.Machine, id string) error{
	"check": func(ctx context.Context, m *faults.Machine, _ string) error {
		o, err := readOrder(os.Stdin)
		if err != nil {
			return err
		}
		return m.Check(ctx, o)
	},
	"start": func(ctx context.Context, m *faults.Machine, _ string) error {
		o, err := readOrder(os.Stdin)
		if err != nil {
			return err
		}
		return m.Start(ctx, o)
	},
	"undo": func(ctx context.Context, m *faults.Machine, id string) error { return m.Undo(ctx, id) },
	"work": func(ctx context.Context, m *faults.Machine, id string) error { return m.Work(ctx, id) },
	"list": func(_ context.Context, m *faults.Machine, _ string) error {
		all, err := m.List()
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(all)
	},
	"addresses": func(context.Context, *faults.Machine, string) error {
		all, err := ownAddresses()
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(all)
	},
}

// faultTakesID are the acts whose argument is an ID.
var faultTakesID = map[string]bool{"undo": true, "work": true}

func runFault(ctx context.Context, log *slog.Logger, args []string) error {
	if len(args) == 0 || faultActs[args[0]] == nil {
		return errFaultUsage
	}
	id := ""
	if faultTakesID[args[0]] {
		if len(args) != 2 {
			return errFaultUsage
		}
		id = args[1]
	}
	m := &faults.Machine{
		Self: nodespec.NodeBinary, Output: boot.Linux{}.Output, Log: log,
		Kill:  func(pid int) error { return unix.Kill(pid, unix.SIGKILL) },
		Ready: func() { notifyReady(ctx, log) },
	}
	return faultActs[args[0]](ctx, m, id)
}

func readOrder(r io.Reader) (o fault.Order, err error) {
	text, err := io.ReadAll(io.LimitReader(r, mostOfOrder))
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return o, fmt.Errorf("reading the order: %w", err)
	}
	return o, nil
}

// ownAddresses are those by which other machines know this one.
func ownAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("reading the addresses of this machine: %w", err)
	}
	found := []netip.Addr{}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
			found = append(found, p.Addr().Unmap())
		}
	}
	return found, nil
}
