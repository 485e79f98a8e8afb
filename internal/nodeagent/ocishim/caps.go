package ocishim

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// capabilityNames are the kernel's capabilities by the number of their bit.
var capabilityNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
	"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
	"PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// bounding tells which capabilities a process can give to others, from the text of
// its /proc/PID/status.
func bounding(status string) func(name string) bool {
	for line := range strings.Lines(status) {
		mask, ok := strings.CutPrefix(line, "CapBnd:")
		if !ok {
			continue
		}
		bits, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
		if err != nil {
			break
		}
		return func(name string) bool {
			bit := slices.Index(capabilityNames, strings.TrimPrefix(name, "CAP_"))
			return bit < 0 || bits&(1<<bit) != 0 // of one that is not known, others may decide
		}
	}
	return func(string) bool { return true }
}

func ownCapabilities() func(name string) bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return func(string) bool { return true }
	}
	return bounding(string(status))
}

// dropCapabilities leaves out of every set what this node cannot give: a privileged
// container has what there is.
func dropCapabilities(process object, may func(string) bool, changed *bool) error {
	return process.edit("capabilities", changed, func(sets object, changed *bool) error {
		for name, raw := range sets {
			var wanted []string
			if err := json.Unmarshal(raw, &wanted); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			kept := slices.DeleteFunc(slices.Clone(wanted), func(c string) bool { return !may(c) })
			if len(kept) == len(wanted) {
				continue
			}
			out, err := json.Marshal(kept)
			if err != nil {
				return err
			}
			sets[name], *changed = out, true
		}
		return nil
	})
}
