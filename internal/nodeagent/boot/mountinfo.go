package boot

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPoint is one line of /proc/self/mountinfo.
type mountPoint struct {
	Root, Target string
	Options      []string
	FSType       string
}

// mounts reads the mount table, the oldest mount first.
func (m *Machine) mounts() ([]mountPoint, error) {
	data, err := os.ReadFile(m.path("/proc/self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("reading the mount table: %w", err)
	}
	return parseMountInfo(string(data)), nil
}

// parseMountInfo skips lines that are no mounts.
func parseMountInfo(text string) []mountPoint {
	var mounts []mountPoint
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		fields, tail := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 6 || len(tail) < 1 {
			continue
		}
		mounts = append(mounts, mountPoint{
			Root: unescape(fields[3]), Target: unescape(fields[4]),
			Options: strings.Split(fields[5], ","), FSType: tail[0],
		})
	}
	return mounts
}

// unescape undoes the octal escapes of the mount table ("\040" is a space).
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// below says whether the mount is at dir or inside it.
func (mp mountPoint) below(dir string) bool {
	return mp.Target == dir || strings.HasPrefix(mp.Target, path.Clean(dir)+"/")
}

var mountFlags = map[string]uintptr{
	"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
	"noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME,
}

// flags are the mount's own options as mount(2) takes them. A remount must
// name them all again, or it clears them, which a user namespace forbids.
func (mp mountPoint) flags() uintptr {
	var flags uintptr
	for _, option := range mp.Options {
		flags |= mountFlags[option]
	}
	return flags
}

// mounted says whether something is mounted exactly at target.
func mounted(mounts []mountPoint, target string) bool {
	for _, mp := range mounts {
		if mp.Target == target {
			return true
		}
	}
	return false
}
