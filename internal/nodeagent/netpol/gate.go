package netpol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kluster-project/kluster/internal/wait"
)

// Gate holds up the start of pods on the node until their policies hold. The API
// tells a pod's addresses when it runs already; the node's address plugin knows
// them before, and asks at a socket. The socket is there while there are policies,
// so that other clusters' pods do not wait for anything.
type Gate struct {
	// Socket is the path of the socket. Mark is that of a file that is there as
	// long, and outlives a restart of the node, after which pods start before
	// the API has been asked.
	Socket, Mark string
	Log          *slog.Logger

	arrivals chan *arrival
	listener *net.UnixListener
}

// Start is a pod that has got addresses, and runs nothing yet.
type Start struct {
	Namespace string       `json:"namespace"`
	Pod       string       `json:"pod"`
	UID       string       `json:"uid,omitempty"` // if the runtime tells
	Addrs     []netip.Addr `json:"addrs"`
}

// arrival is a start that somebody waits for.
type arrival struct {
	Start
	since time.Time
	// held is closed when the pod's policies hold.
	held     chan struct{}
	answered bool
	// seen says that the API knows the pod, and asked that it is being asked. pod is
	// what it said.
	seen, asked bool
	pod         *corev1.Pod
}

func (a *arrival) answer() {
	if !a.answered {
		a.answered = true
		close(a.held)
	}
}

// NewGate makes a gate, which is shut at once if there were policies when the node
// was last up.
func NewGate(socket, mark string, log *slog.Logger) (*Gate, error) {
	g := &Gate{Socket: socket, Mark: mark, Log: log, arrivals: make(chan *arrival)}
	if _, err := os.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	return g, g.Shut()
}

// Shut begins to hold pods up.
func (g *Gate) Shut() error {
	if g.listener != nil {
		return nil
	}
	for _, path := range []string{g.Socket, g.Mark} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making the gate of pods: %w", err)
		}
	}
	if err := os.WriteFile(g.Mark, nil, 0o644); err != nil {
		return fmt.Errorf("marking that there are policies: %w", err)
	}
	// The socket of an earlier process stays until this one takes its place at once:
	// without any, a pod would take it that there are no policies.
	fresh := g.Socket + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing an old socket: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return fmt.Errorf("making the gate of pods: %w", err)
	}
	listener.SetUnlinkOnClose(false)
	if err := os.Rename(fresh, g.Socket); err != nil {
		return errors.Join(fmt.Errorf("making the gate of pods: %w", err), listener.Close())
	}
	g.listener = listener
	go g.serve(listener)
	return nil
}

// Lift lets all pods through.
func (g *Gate) Lift() error {
	g.close()
	var problems []error
	for _, path := range []string{g.Socket, g.Mark} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// close ends the service and leaves the gate as it is.
func (g *Gate) close() {
	if g.listener != nil {
		// Closing is all that can be done with it.
		_ = g.listener.Close()
		g.listener = nil
	}
}

// askTime bounds a question.
const askTime = time.Second

// serve ends when its listener is closed.
func (g *Gate) serve(listener *net.UnixListener) {
	closed := make(chan struct{})
	defer close(closed)
	for {
		conn, err := listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				g.Log.Error("pods are not held up for their policies", "error", err)
			}
			return
		}
		go g.answer(conn, closed)
	}
}

// answer reads a start and says when its policies hold. It gives up when the other
// side does.
func (g *Gate) answer(conn net.Conn, closed <-chan struct{}) {
	defer conn.Close()
	a := &arrival{since: time.Now(), held: make(chan struct{})}
	if err := conn.SetReadDeadline(time.Now().Add(askTime)); err != nil {
		return
	}
	if err := json.NewDecoder(conn).Decode(&a.Start); err != nil {
		g.Log.Warn("cannot read what pod starts", "error", err)
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		// Nothing else comes but the end.
		_ = conn.SetReadDeadline(time.Time{})
		_, _ = conn.Read(make([]byte, 1))
	}()
	select {
	case g.arrivals <- a:
	case <-closed:
		return
	case <-gone:
		return
	}
	select {
	case <-a.held:
		if _, err := conn.Write([]byte(held)); err != nil {
			g.Log.Warn("cannot say that a pod's policies hold", "pod", a.Pod, "error", err)
		}
	case <-closed:
	case <-gone:
	}
}

// held is the answer.
const held = "held\n"

// askPoll is how often somebody who is not there is asked again.
const askPoll = 50 * time.Millisecond

// Ask returns when the policies of a pod hold that has got its addresses, at once
// where there are none. Its error says that nobody could tell until ctx ended.
func Ask(ctx context.Context, socket string, s Start) error {
	for {
		err := ask(ctx, socket, s)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !wait.For(ctx, askPoll) {
			return fmt.Errorf("waiting for the network policies of pod %s/%s: %w", s.Namespace, s.Pod, err)
		}
	}
}

func ask(ctx context.Context, socket string, s Start) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(s); err != nil {
		return err
	}
	answer := make([]byte, len(held))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return fmt.Errorf("the pod network gave no answer: %w", err)
	}
	return nil
}
