package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kluster-project/kluster/internal/wait"
)

// floor is etcd and kube-apiserver alone, as processes of this machine.
type floor struct {
	etcd, apiserver []string // commands
	data            string   // etcd's folder
	etcdAddress     string   // where its clients connect
	url             string   // of /readyz
	client          *http.Client
}

const (
	// floorEvery is how often the floor is asked whether it is ready.
	floorEvery = 20 * time.Millisecond
	// floorTimeout is when to give up.
	floorTimeout = 2 * time.Minute
)

// measure starts both, waits for /readyz, kills both and wipes their data.
func (f *floor) measure(ctx context.Context, round int) FloorSample {
	s := FloorSample{Round: round, Load: load()}
	ctx, cancel := context.WithTimeout(ctx, floorTimeout)
	defer cancel()
	if err := errors.Join(f.wipe(), f.run(ctx, &s), f.wipe()); err != nil {
		s.Error = err.Error()
	}
	return s
}

// wipe leaves etcd an empty folder, with the rights that it wants.
func (f *floor) wipe() error {
	if err := os.RemoveAll(f.data); err != nil {
		return fmt.Errorf("wiping the floor's data: %w", err)
	}
	return os.MkdirAll(f.data, 0o700)
}

func (f *floor) run(ctx context.Context, s *FloorSample) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	began := time.Now()
	var all []*process
	err := f.start(ctx, stop, &all)
	if err == nil {
		err = f.waitReady(ctx)
	}
	took := time.Since(began)
	var cpu time.Duration
	for _, p := range all {
		cpu += p.kill()
	}
	f.client.CloseIdleConnections()
	if err == nil {
		s.ReadySeconds, s.CPUSeconds = took.Seconds(), cpu.Seconds()
	}
	return err
}

// start starts etcd, and kube-apiserver as soon as etcd takes connections: one
// that asks too early pauses, and a long floor would flatter everything else.
func (f *floor) start(ctx context.Context, failed context.CancelCauseFunc, all *[]*process) error {
	etcd, err := start(ctx, f.etcd, failed)
	if err != nil {
		return err
	}
	*all = append(*all, etcd)
	if err := f.waitEtcd(ctx); err != nil {
		return err
	}
	apiserver, err := start(ctx, f.apiserver, failed)
	if err != nil {
		return err
	}
	*all = append(*all, apiserver)
	return nil
}

func (f *floor) waitEtcd(ctx context.Context) error {
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "tcp", f.etcdAddress); err == nil {
			return conn.Close()
		}
		if !wait.For(ctx, floorEvery) {
			return fmt.Errorf("waiting for the floor's etcd: %w", context.Cause(ctx))
		}
	}
}

func (f *floor) waitReady(ctx context.Context) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
		if err != nil {
			return fmt.Errorf("asking the floor: %w", err)
		}
		if resp, err := f.client.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body) // so that the connection serves again
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if !wait.For(ctx, floorEvery) {
			return fmt.Errorf("waiting for the floor's /readyz: %w", context.Cause(ctx))
		}
	}
}

// process is one of the floor's that runs.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{}
}

// start starts a process that must not end by itself: failed hears if it does.
func start(ctx context.Context, args []string, failed context.CancelCauseFunc) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, args[0], args[1:]...), ended: make(chan struct{})}
	p.cmd.Dir = filepath.Dir(args[0])
	p.cmd.Stderr = &p.stderr
	// Its end is the bench's to order, also after a Ctrl-C.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the floor: %w", err)
	}
	go func() {
		err := p.cmd.Wait()
		failed(fmt.Errorf("%s ended (%w): %s", filepath.Base(args[0]), err, tail(p.stderr.String())))
		close(p.ended)
	}()
	return p, nil
}

// kill ends the process and gives the processor time that it had.
func (p *process) kill() time.Duration {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}
