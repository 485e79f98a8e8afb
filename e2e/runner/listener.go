package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/report"
)

// evidenceTimeout is how long collecting evidence may hold a spec that failed.
// The spec itself waits for a minute.
const evidenceTimeout = 55 * time.Second

// listener hears the suite's processes.
type listener struct {
	*run
	socket net.Listener
	cancel context.CancelFunc
	group  sync.WaitGroup
	// accepted is closed when no more connections are.
	accepted chan struct{}

	mu   sync.Mutex
	errs []error
}

// listen opens the socket. The end of ctx is for the suite alone: as long as its
// specs clean up they are heard.
func (r *run) listen(ctx context.Context, path string) (*listener, error) {
	socket, err := net.Listen("unix", path) //nolint:noctx // it does not block
	if err != nil {
		return nil, fmt.Errorf("opening the suite's socket: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &listener{run: r, socket: socket, cancel: cancel, accepted: make(chan struct{})}
	l.group.Go(func() { l.accept(ctx) })
	return l, nil
}

// accept hears all who connect, until the listener is closed.
func (l *listener) accept(ctx context.Context) {
	defer close(l.accepted)
	for {
		conn, err := l.socket.Accept()
		if err != nil {
			return // closed
		}
		if conn.RemoteAddr().String() == l.last() {
			conn.Close()
			return
		}
		l.heard.Store(true)
		l.guard.watches()
		l.group.Go(func() { l.hear(ctx, conn) })
	}
}

// last is the address of the connection after which there are no more.
func (l *listener) last() string { return l.socket.Addr().String() + ".last" }

// close ends the listener when the suite's processes have ended, and gives what
// went wrong. What they said is heard also where their connections, made just
// before they died, wait to be accepted: these come in order, the last one after
// all of theirs.
func (l *listener) close() error {
	last, err := net.DialUnix("unix", &net.UnixAddr{Name: l.last(), Net: "unix"}, &net.UnixAddr{Name: l.socket.Addr().String(), Net: "unix"})
	if err == nil {
		<-l.accepted
		last.Close()
	}
	l.socket.Close()
	l.cancel()
	l.group.Wait()
	return errors.Join(l.errs...)
}

func (l *listener) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// hear follows one process of the suite until it has ended.
func (l *listener) hear(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	var running event.Event // Spec is "" between specs
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e event.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			l.fail(fmt.Errorf("hearing the suite: %w", err))
			return
		}
		running = e
		if e.Kind == event.End {
			running.Spec = ""
		}
		if err := l.take(ctx, e, conn); err != nil {
			l.fail(err)
			return
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, net.ErrClosed) {
		l.fail(fmt.Errorf("hearing the suite: %w", err))
	}
	if running.Spec != "" && !l.killed.Load() {
		l.Watch.Event(l.Cluster, event.Event{Time: time.Now(), Kind: event.End, Proc: running.Proc, Spec: running.Spec})
		if err := l.went(running.Proc, "process %d of the suite died while it ran %q", running.Proc, running.Spec); err != nil {
			l.fail(err)
		}
	}
}

// went tells of an incident that has just been.
func (l *listener) went(proc int, format string, args ...any) error {
	return l.incident(proc, report.Incident{Time: time.Now(), Text: fmt.Sprintf(format, args...)})
}

// take takes in an event, and answers it.
func (l *listener) take(ctx context.Context, e event.Event, w io.Writer) error {
	l.Watch.Event(l.Cluster, e)
	if e.Kind != event.Failing {
		return l.write(entry{Event: e})
	}
	dir := l.evidence(ctx, e)
	if err := l.write(entry{Event: e, Evidence: dir}); err != nil {
		return err
	}
	// A process that is gone needs no answer.
	_, _ = io.WriteString(w, event.Ack)
	return nil
}

// evidence collects evidence, and gives its folder or "".
func (l *listener) evidence(ctx context.Context, e event.Event) string {
	if l.Evidence == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, evidenceTimeout)
	defer cancel()
	dir, err := l.Evidence(ctx, e)
	if err != nil {
		if err := l.went(0, "no evidence of %q could be had: %v", e.Spec, err); err != nil {
			l.fail(err)
		}
	}
	return filepath.ToSlash(dir)
}
