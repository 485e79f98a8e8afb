package faults

import (
	"context"
	"time"

	"github.com/kluster-project/kluster/internal/fault"
)

// workUnit is the unit of the process that does a fault.
func workUnit(id string) string { return "kluster-fault-" + id + ".service" }

const (
	// undoRetry is the pause before an undo that failed is tried again. systemd gives up
	// after five starts in ten seconds, which these are not.
	undoRetry = 3 * time.Second
	// workLonger is how much later than the fault systemd ends its process, if the undo
	// did not.
	workLonger = 5 * time.Second
	// workBegins is how long that process may take until it holds.
	workBegins = "20s"
)

// arm makes systemd undo the fault when its time is up, again and again until it succeeds.
func (m *Machine) arm(ctx context.Context, o fault.Order) error {
	_, err := m.Output(ctx, "", "systemd-run", "--quiet", "--collect", "--unit="+fault.UndoUnit(o.ID),
		"--on-active="+seconds(o), "--timer-property=AccuracySec=100ms",
		"--property=Restart=on-failure", "--property=RestartSec="+undoRetry.String(),
		"--", m.Self, "fault", "undo", o.ID)
	return err
}

// disarm stops the timer. It may be what has called, and have gone already; one that
// stays finds nothing to undo.
func (m *Machine) disarm(ctx context.Context, o fault.Order) {
	_, _ = m.Output(ctx, "", "systemctl", "stop", fault.UndoUnit(o.ID)+".timer")
}

// startWork starts the process of a fault, and waits until it holds. When memory is
// short it is the first to go.
func (m *Machine) startWork(ctx context.Context, o fault.Order) error {
	longest := time.Until(o.Until) + workLonger
	_, err := m.Output(ctx, "", "systemd-run", "--quiet", "--collect", "--unit="+workUnit(o.ID),
		"--property=Type=notify", "--property=TimeoutStartSec="+workBegins,
		"--property=RuntimeMaxSec="+longest.Round(time.Second).String(),
		"--property=KillSignal=SIGKILL", "--property=OOMScoreAdjust=1000",
		"--", m.Self, "fault", "work", o.ID)
	return err
}

// endWork ends that process, if there is one.
func (m *Machine) endWork(ctx context.Context, o fault.Order) error {
	state, err := m.Output(ctx, "", "systemctl", "show", "--property=LoadState", "--value", workUnit(o.ID))
	if err != nil || trimmed(state) != "loaded" {
		return err
	}
	_, err = m.Output(ctx, "", "systemctl", "stop", workUnit(o.ID))
	return err
}
