package supervise

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startShell supervises a shell program that writes to a pipe, which is given.
func startShell(t *testing.T, script string) (lines io.Reader, signals chan os.Signal, done chan int) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "out")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	signals = make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGCHLD)
	t.Cleanup(func() { signal.Stop(signals) })
	p := &Program{
		Args:    []string{"/bin/sh", "-c", script, "sh", fifo},
		Signals: map[os.Signal]unix.Signal{unix.SIGTERM: unix.SIGTERM, unix.Signal(37): unix.SIGTERM, unix.SIGUSR1: unix.SIGUSR1},
		Last:    map[os.Signal]bool{unix.SIGTERM: true, unix.Signal(37): true},
		Pause:   time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	done = make(chan int, 1)
	go func() {
		code, err := p.Run(ctx, signals)
		if err != nil {
			t.Error(err)
		}
		done <- code
	}()
	return out, signals, done
}

func readLine(t *testing.T, r io.Reader) string {
	t.Helper()
	buf := make([]byte, 100)
	n, err := r.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

const waiting = `trap 'echo term >$1; exit 3' TERM; trap 'echo usr1 >$1' USR1; echo up >$1; while :; do sleep 0.01; done`

func TestSignals(t *testing.T) {
	for _, last := range []os.Signal{unix.SIGTERM, unix.Signal(37)} {
		lines, signals, done := startShell(t, waiting)
		readLine(t, lines)
		signals <- unix.SIGUSR1
		if got := readLine(t, lines); got != "usr1\n" {
			t.Errorf("got %q", got)
		}
		signals <- last
		if got := readLine(t, lines); got != "term\n" {
			t.Errorf("got %q", got)
		}
		if code := <-done; code != 3 {
			t.Errorf("code %d", code)
		}
	}
}

func TestProgramIsStartedAgain(t *testing.T) {
	lines, signals, done := startShell(t, `echo up >$1; kill -9 $$`)
	readLine(t, lines)
	readLine(t, lines)
	signals <- unix.SIGTERM
	if code := <-done; code != 128+9 && code != 128+15 {
		t.Errorf("code %d", code)
	}
}

func TestMissingProgram(t *testing.T) {
	p := &Program{Args: []string{"/nonexistent"}, Log: slog.New(slog.DiscardHandler)}
	if _, err := p.Run(t.Context(), nil); err == nil {
		t.Error("runs what is not there")
	}
}
