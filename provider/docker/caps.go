package docker

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// procDir is where the kernel shows its processes.
const procDir = "/proc"

// missingCaps are the capabilities the engine at host lacks. It is nil where
// that cannot be told: an engine in a virtual machine has them all.
func missingCaps(host string) []string {
	pid := enginePID(host)
	if pid == 0 {
		return nil
	}
	status, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "status"))
	if err != nil {
		return nil
	}
	last, err := os.ReadFile(filepath.Join(procDir, "sys/kernel/cap_last_cap"))
	if err != nil {
		return nil
	}
	missing, err := parseMissing(status, last)
	if err != nil {
		return nil
	}
	return missing
}

// parseMissing names the capabilities up to the kernel's last one that are not
// in the bounding set of a process's status file.
func parseMissing(status, lastCap []byte) ([]string, error) {
	last, err := strconv.Atoi(string(bytes.TrimSpace(lastCap)))
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's last capability: %w", err)
	}
	text, ok := statusField(status, "CapBnd")
	if !ok {
		return nil, fmt.Errorf("no CapBnd in the status of the engine's process")
	}
	bounding, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		return nil, fmt.Errorf("reading CapBnd: %w", err)
	}
	var missing []string
	for number, c := range capabilities {
		if number <= last && bounding&(1<<number) == 0 {
			missing = append(missing, "CAP_"+c.name)
		}
	}
	return missing, nil
}

// statusField gives a field of a process's status file.
func statusField(status []byte, name string) (string, bool) {
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// enginePID is the process of the engine behind host, 0 if it is not found.
// The one that listens on the socket is asked for first; with socket activation
// that is systemd, so a process called dockerd is the second choice.
func enginePID(host string) int {
	if path, ok := socketPath(host); ok {
		if pid := listenerPID(path); pid > 0 && processName(pid) == "dockerd" {
			return pid
		}
	}
	return findProcess("dockerd")
}

// findProcess gives the lowest ID of a process of that name, 0 if there is none.
func findProcess(name string) int {
	entries, err := os.ReadDir(procDir)
	if err != nil {
		return 0
	}
	lowest := 0
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && processName(pid) == name && (lowest == 0 || pid < lowest) {
			lowest = pid
		}
	}
	return lowest
}

func processName(pid int) string {
	comm, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(comm))
}
