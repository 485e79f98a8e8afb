package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/nodeagent/supervise"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// balancerTime bounds a change of haproxy's backends.
const balancerTime = 15 * time.Second

// engineStop is the signal that ends systemd, SIGRTMIN+3, and so the stop
// signal of node images; haproxy does not know it.
const engineStop = unix.Signal(37)

// balancerSignals are haproxy's own: TERM ends it at once, USR1 when its
// sessions have ended, USR2 and HUP reload its configuration.
var balancerSignals = map[os.Signal]unix.Signal{
	unix.SIGTERM: unix.SIGTERM, unix.SIGINT: unix.SIGTERM, engineStop: unix.SIGTERM,
	unix.SIGUSR1: unix.SIGUSR1, unix.SIGUSR2: unix.SIGUSR2, unix.SIGHUP: unix.SIGUSR2,
}

var balancerLast = map[os.Signal]bool{unix.SIGTERM: true, unix.SIGINT: true, engineStop: true, unix.SIGUSR1: true}

// runLoadBalancer is the first process of the load balancer's container: it
// keeps haproxy running. It stays haproxy's parent, since the first process of
// a container ignores signals that it does not handle.
func runLoadBalancer(log *slog.Logger) error {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		return fmt.Errorf("finding haproxy: %w", err)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGCHLD)
	for s := range balancerSignals {
		signal.Notify(signals, s)
	}
	program := &supervise.Program{
		Args:    []string{haproxy, "-W", "-f", nodespec.LoadBalancerConfig},
		Signals: balancerSignals, Last: balancerLast,
		Pause: 200 * time.Millisecond, Log: log,
	}
	// Not the signal context of main: signals are passed on, not obeyed.
	code, err := program.Run(context.Background(), signals)
	if err != nil {
		return err
	}
	if code != 0 && code != 128+int(unix.SIGTERM) {
		return fmt.Errorf("haproxy ended with code %d", code)
	}
	return nil
}
