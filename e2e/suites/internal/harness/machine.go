package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// Room is a machine within this one: it has an engine of its own and networks, mounts
// and processes that nobody else sees. Its loopback interface is all the network that it
// has, beside those that the engine makes. When it ends, everything in it does.
type Room struct {
	// Dir holds all that is the room's own; paths are the same inside.
	Dir string
	// API is the engine's.
	API *client.Client

	first  *exec.Cmd // whose end is that of all others
	daemon *daemon   // that was started last
	disk   string    // the file that holds the engine's data, if they have a disk of their own
}

// daemon is an engine that was started.
type daemon struct {
	ended chan struct{}
	err   error // when it has
}

// roomNeeds are this machine's programs that make one.
var roomNeeds = []string{"dockerd", "unshare", "nsenter", "ip", "env"}

// firstProcess takes in what others leave behind, as an init does, until it is told to end.
const firstProcess = "trap exit TERM; ip link set lo up && while :; do sleep 1 & wait $!; done"

// NewRoom makes a room whose engine runs; it goes with the spec or container that asked.
// Without root there is none.
func NewRoom(ctx context.Context) *Room {
	ginkgo.GinkgoHelper()
	return NewSmallRoom(ctx, 0)
}

// NewSmallRoom is NewRoom with a disk of so many bytes for the engine's data; 0 is this
// machine's.
func NewSmallRoom(ctx context.Context, bytes int64) *Room {
	ginkgo.GinkgoHelper()
	if os.Geteuid() != 0 {
		ginkgo.Skip("namespaces and an engine of its own need root")
	}
	for _, program := range roomNeeds {
		if _, err := exec.LookPath(program); err != nil {
			ginkgo.Skip(err.Error())
		}
	}
	dir, err := os.MkdirTemp("", "kluster-it-")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(os.RemoveAll, dir)
	for _, name := range []string{"home", "empty", "bin", "data"} {
		gomega.Expect(os.Mkdir(filepath.Join(dir, name), 0o755)).To(gomega.Succeed())
	}
	r := &Room{Dir: dir}
	if bytes > 0 {
		r.addDisk(ctx, bytes)
	}
	gomega.Expect(os.WriteFile(r.Path("daemon.json"), []byte("{}"), 0o600)).To(gomega.Succeed())
	ginkgo.DeferCleanup(r.end)
	r.open(ctx)
	r.API, err = client.NewClientWithOpts(client.WithHost("unix://"+r.Path("sock")), client.WithAPIVersionNegotiation())
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(r.API.Close)
	r.StartEngine(ctx)
	return r
}

// open starts the first process.
func (r *Room) open(ctx context.Context) {
	ginkgo.GinkgoHelper()
	r.first = exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", firstProcess) //nolint:noctx // it is ended, and waited for
	r.first.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}                                                                          // Ctrl-C is for the specs
	gomega.Expect(r.first.Start()).To(gomega.Succeed())
	gomega.Expect(os.WriteFile(r.Path("first"), []byte(strconv.Itoa(r.first.Process.Pid)), 0o600)).To(gomega.Succeed())
	gomega.Eventually(ctx, func(ctx context.Context) error { return r.Command(ctx, "true").Run() }).
		WithTimeout(10*time.Second).Should(gomega.Succeed(), "the room opens")
}

// endTime bounds the end of a room's processes.
const endTime = 30 * time.Second

// end ends the first process, with which the kernel kills all others at once (SIGKILL),
// and returns when they have gone.
func (r *Room) end() {
	if r.first == nil || r.first.ProcessState != nil {
		return // it was not opened, or has ended
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTime) // also when the spec's has ended
	defer cancel()
	// It may be killed with the room before it can say that it has done its work.
	_ = r.Command(ctx, "kill", "-TERM", "1").Run()
	defer context.AfterFunc(ctx, func() { _ = r.first.Process.Kill() })()
	_ = r.first.Wait() // how it ended says nothing
	if r.daemon != nil {
		<-r.daemon.ended
	}
}

// Path is that of a file in the room's folder.
func (r *Room) Path(name string) string { return filepath.Join(r.Dir, name) }

// ns is a namespace of the room.
func (r *Room) ns(kind string) string {
	return fmt.Sprintf("/proc/%d/ns/%s", r.first.Process.Pid, kind)
}

// Command is a command that runs inside.
func (r *Room) Command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{
		"--net=" + r.ns("net"), "--mount=" + r.ns("mnt"), "--pid=" + r.ns("pid_for_children"), "--",
	}, args...)...)
}

// StartEngine starts the engine, which must not run, and returns when it answers.
func (r *Room) StartEngine(ctx context.Context) {
	ginkgo.GinkgoHelper()
	log, err := os.OpenFile(r.Path("dockerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer log.Close()
	args := []string{
		"dockerd", "--config-file", r.Path("daemon.json"), "--data-root", r.Path("data"), "--exec-root", r.Path("exec"),
		"--pidfile", r.Path("pid"), "--host", "unix://" + r.Path("sock"),
	}
	cmd := r.Command(context.WithoutCancel(ctx), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	gomega.Expect(cmd.Start()).To(gomega.Succeed())
	d := &daemon{ended: make(chan struct{})}
	go func() { d.err = cmd.Wait(); close(d.ended) }()
	r.daemon = d
	gomega.Eventually(ctx, func(ctx context.Context) error {
		select {
		case <-d.ended:
			return gomega.StopTrying("the engine has ended").Wrap(d.err)
		default:
		}
		_, err := r.API.Ping(ctx)
		return err
	}).WithTimeout(2*time.Minute).WithPolling(50*time.Millisecond).Should(gomega.Succeed(), r.Log)
}

// EndEngine sends the engine a signal and returns when it has ended.
func (r *Room) EndEngine(ctx context.Context, signal string) {
	ginkgo.GinkgoHelper()
	pid, err := os.ReadFile(r.Path("pid"))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(r.Command(ctx, "sh", "-c", "kill -"+signal+" "+strings.TrimSpace(string(pid))).Run()).To(gomega.Succeed())
	gomega.Eventually(ctx, r.daemon.ended).WithTimeout(2*time.Minute).Should(gomega.BeClosed(), r.Log)
}

// RemoveAll removes every container of the engine.
func (r *Room) RemoveAll(ctx context.Context) {
	ginkgo.GinkgoHelper()
	list, err := r.API.ContainerList(ctx, container.ListOptions{All: true})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	for _, c := range list {
		gomega.Expect(r.API.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})).To(gomega.Succeed())
	}
}

// Log is what the engine said last.
func (r *Room) Log() string {
	text, err := os.ReadFile(r.Path("dockerd.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// Engine looks at the room's clusters from below.
func (r *Room) Engine() *Engine { return &Engine{API: r.API} }

// Kluster gives a kluster program that sees the room's engine and network, with variables
// ("K=V") and nothing else of this machine's environment.
func (r *Room) Kluster(bin string, env ...string) *Kluster {
	ginkgo.GinkgoHelper()
	var script bytes.Buffer
	// It stays one of this machine's processes, so that it can be interrupted.
	words := []string{"nsenter", `--net=/proc/$(cat "` + r.Path("first") + `")/ns/net`, "--", "env", "-i", "DOCKER_HOST=unix://" + r.Path("sock"), `KUBECONFIG="$KUBECONFIG"`}
	words = append(append(words, env...), bin)
	fmt.Fprintf(&script, "#!/bin/sh\nexec %s \"$@\"\n", strings.Join(words, " "))
	path := r.Path("kluster")
	gomega.Expect(os.WriteFile(path, script.Bytes(), 0o755)).To(gomega.Succeed())
	return &Kluster{Bin: path, Kubeconfig: r.Path("kubeconfig")}
}

// Connect is harness.Connect to a cluster in the room.
func (r *Room) Connect(k *Kluster, name string) (*Cluster, error) {
	return connect(k, name, r.Dial)
}

// Dial connects from inside.
func (r *Room) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	type dialled struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialled, 1)
	go func() {
		// The thread ends with the goroutine, for it is of the room from now on.
		runtime.LockOSThread()
		conn, err := r.dialHere(ctx, network, address)
		done <- dialled{conn, err}
	}()
	d := <-done
	return d.conn, d.err
}

func (r *Room) dialHere(ctx context.Context, network, address string) (_ net.Conn, err error) {
	ns, err := os.Open(r.ns("net"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ns.Close()) }()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("entering the room's network: %w", err)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}
