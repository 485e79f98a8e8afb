package cluster

import (
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// creator names the process that makes a cluster, as
// "<boot id>/<pid namespace>/<pid>/<start time in clock ticks>": enough for a
// later process on the same machine to tell whether it still runs.
type creator struct {
	Boot, PIDNamespace string
	PID                int
	Started            string
}

// thisProcess is the creator that this process is.
func thisProcess() (creator, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return creator{}, fmt.Errorf("reading the boot id: %w", err)
	}
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return creator{}, fmt.Errorf("reading the PID namespace: %w", err)
	}
	started, err := startTime(os.Getpid())
	if err != nil {
		return creator{}, err
	}
	return creator{Boot: strings.TrimSpace(string(boot)), PIDNamespace: ns, PID: os.Getpid(), Started: started}, nil
}

func (c creator) String() string {
	return fmt.Sprintf("%s/%s/%d/%s", c.Boot, c.PIDNamespace, c.PID, c.Started)
}

// parseCreator reads what String wrote; ok is false for anything else.
func parseCreator(s string) (c creator, ok bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 4 {
		return creator{}, false
	}
	pid, err := strconv.Atoi(parts[2])
	if err != nil || pid <= 0 {
		return creator{}, false
	}
	return creator{Boot: parts[0], PIDNamespace: parts[1], PID: pid, Started: parts[3]}, true
}

// mayRun says whether the creator may still be running, seen from viewer. A
// process of another PID namespace cannot be seen, so it may; one of another
// boot cannot.
func (c creator) mayRun(viewer creator, started func(pid int) (string, error)) bool {
	if c.Boot != viewer.Boot {
		return false
	}
	if c.PIDNamespace != viewer.PIDNamespace {
		return true
	}
	now, err := started(c.PID)
	return err == nil && now == c.Started
}

// startTime is field 22 of /proc/PID/stat, the start in clock ticks after boot.
// Together with the PID it names a process for good: PIDs are used again. A process
// that has ended, and that nobody has asked how, is os.ErrProcessDone.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("reading the start time of process %d: %w", pid, err)
	}
	// The second field is the command in parentheses and may hold spaces.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return "", fmt.Errorf("reading the start time of process %d: unknown form", pid)
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return "", fmt.Errorf("reading the start time of process %d: %w", pid, os.ErrProcessDone)
	}
	return fields[19], nil
}

// buildLabel marks the throw-away machines of image builds, each with an ID of
// its own.
const buildLabel = "io.kluster.build"

func buildLabels() map[string]string {
	labels := map[string]string{buildLabel: rand.Text()}
	if self, err := thisProcess(); err == nil {
		labels[nodespec.LabelCreator] = self.String()
	}
	return labels
}
