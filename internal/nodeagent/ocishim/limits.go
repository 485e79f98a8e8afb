package ocishim

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Here finds out what this node cannot do.
func Here() Limits {
	return Limits{
		NoSysResource: !mayLowerOOMScore(),
		NoHugetlb:     !hugetlb(),
		Capability:    ownCapabilities(),
		Rlimit:        hardLimit,
	}
}

// mayLowerOOMScore tries it on this process: the kernel's answer takes account
// of capabilities and user namespaces alike. The try changes nothing that
// lasts: runc sets the score of its container itself.
func mayLowerOOMScore() bool {
	const file = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	if err := os.WriteFile(file, []byte("-999"), 0); err != nil {
		return false
	}
	return os.WriteFile(file, before, 0) == nil
}

// hugetlb says whether the controller is there, in cgroup v1 or v2.
func hugetlb() bool {
	if controllers, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return slices.Contains(strings.Fields(string(controllers)), "hugetlb")
	}
	// systemd makes the folder of a controller that it cannot mount.
	_, err := os.Stat("/sys/fs/cgroup/hugetlb/cgroup.procs")
	return err == nil
}

var rlimits = map[string]int{
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU,
	"RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK, "RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE,
	"RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO, "RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
	"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
}

func hardLimit(name string) (uint64, bool) {
	id, known := rlimits[name]
	if !known {
		return 0, false
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(id, &limit); err != nil {
		return 0, false
	}
	return limit.Max, true
}
