package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// fake is a Kernel that keeps a record in the words of mount(8), and keeps the
// mount table of the machine's root up to date.
type fake struct {
	root   string
	mu     sync.Mutex // of calls
	calls  []string
	files  uint64
	fsType int64
	// outputs are what commands print, by command line; others print nothing.
	outputs map[string]string
	// broken makes calls that contain it fail.
	broken string
}

var errBroken = errors.New("broken")

func (f *fake) record(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	call = strings.TrimRight(strings.ReplaceAll(call, f.root, ""), " ")
	f.calls = append(f.calls, call)
	if f.broken != "" && strings.Contains(call, f.broken) {
		return errBroken
	}
	return nil
}

var flagNames = []struct {
	flag uintptr
	name string
}{
	{unix.MS_REMOUNT, "remount"},
	{unix.MS_BIND, "bind"},
	{unix.MS_RDONLY, "ro"},
	{unix.MS_NOSUID, "nosuid"},
	{unix.MS_NODEV, "nodev"},
	{unix.MS_NOEXEC, "noexec"},
	{unix.MS_RELATIME, "relatime"},
	{unix.MS_SHARED, "shared"},
	{unix.MS_PRIVATE, "private"},
	{unix.MS_REC, "rec"},
}

func (f *fake) Mount(source, target, fstype string, flags uintptr, _ string) error {
	var options []string
	for _, n := range flagNames {
		if flags&n.flag != 0 {
			options = append(options, n.name)
		}
	}
	call := strings.Join(strings.Fields(fmt.Sprintf("mount -o %s %s %s %s", strings.Join(options, ","), fstype, source, target)), " ")
	if err := f.record(call); err != nil {
		return err
	}
	if flags&(unix.MS_REMOUNT|unix.MS_SHARED|unix.MS_PRIVATE) == 0 {
		f.mountTable(fmt.Sprintf("90 1 0:1 / %s rw - none none rw\n", strings.TrimPrefix(target, f.root)))
	}
	return nil
}

func (f *fake) mountTable(line string) {
	path := filepath.Join(f.root, "proc/self/mountinfo")
	text, _ := os.ReadFile(path)
	if err := os.WriteFile(path, append(text, line...), 0o644); err != nil {
		panic(err)
	}
}

func (f *fake) Unmount(target string) error { return f.record("umount " + target) }

func (f *fake) FilesystemType(string) (int64, error) { return f.fsType, nil }

func (f *fake) MaxOpenFiles() (uint64, error) { return f.files, nil }

func (f *fake) Output(_ context.Context, stdin, name string, args ...string) (string, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	call := line
	if stdin != "" {
		call += " <<< " + stdin
	}
	if err := f.record(call); err != nil {
		return "", err
	}
	return f.outputs[line], nil
}

// newMachine makes a machine of the given files.
func newMachine(t *testing.T, files map[string]string) (*Machine, *fake) {
	t.Helper()
	root := t.TempDir()
	base := map[string]string{
		"/proc/self/uid_map":    "         0          0 4294967295\n",
		"/proc/self/status":     "Name:\tx\nCapBnd:\t000001ffffffffff\n",
		"/proc/self/cgroup":     "9:name=systemd:/\n3:cpuset:/\n1:cpu,cpuacct:/\n0::/\n",
		"/proc/self/mountinfo":  "",
		"/etc/resolv.conf":      "nameserver 127.0.0.11\noptions ndots:0\n",
		"/proc/net/route":       "Iface\tDestination\tGateway\nx\n",
		"/proc/net/ipv6_route":  "",
		"/etc/alternatives/dir": "",
	}
	for path, text := range files {
		base[path] = text
	}
	for path, text := range base {
		put(t, root, path, text)
	}
	kernel := &fake{root: root, files: 1 << 20, outputs: map[string]string{}}
	return &Machine{
		Root: root, Kernel: kernel, Log: slog.New(slog.DiscardHandler),
		Getenv: func(string) string { return "" },
		Node: nodespec.Node{
			Protocol: nodespec.Protocol, Name: "n", Cluster: "c", Role: nodespec.RoleWorker,
			CNI: "default", KeepDNSSearch: true,
		},
	}, kernel
}

func put(t *testing.T, root, path, text string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (m *Machine) text(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(m.path(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// step finds a step by name and runs it if the machine needs it.
func step(t *testing.T, m *Machine, name string) error {
	t.Helper()
	for _, s := range Steps {
		if s.Name == name {
			if s.When != nil && !s.When(m) {
				return nil
			}
			return s.Run(t.Context(), m)
		}
	}
	t.Fatalf("no step %q", name)
	return nil
}

func mustStep(t *testing.T, m *Machine, name string) {
	t.Helper()
	if err := step(t, m, name); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
