package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/kluster-project/kluster/internal/bench"
)

// LoadImage implements bench.Engine.
func (e *Engine) LoadImage(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("loading images: %w", err)
	}
	defer f.Close()
	answer, err := e.api.ImageLoad(ctx, f, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("loading images: %w", err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && strings.Contains(string(said), `"error"`) {
		err = errors.New(string(said))
	}
	if err != nil {
		return fmt.Errorf("loading images: %w", err)
	}
	return nil
}

// RemoveImage implements bench.Engine.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	_, err := e.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing image %s: %w", ref, err)
	}
	return nil
}

// meter passes connections on to the engine, and counts what commands in containers
// are sent. Each has a connection of its own, which begins with a request to start it.
type meter struct {
	engine   *Engine
	listener net.Listener
	copying  sync.WaitGroup

	mu   sync.Mutex
	sent map[string]*atomic.Int64 // by the command's ID
}

// Meter implements bench.Engine. It is not a socket file: kluster then writes to
// commands past the engine.
func (e *Engine) Meter(ctx context.Context) (bench.Meter, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for what is to be counted: %w", err)
	}
	m := &meter{engine: e, listener: l, sent: map[string]*atomic.Int64{}}
	m.copying.Add(1)
	go m.serve()
	return m, nil
}

func (m *meter) Env() []string {
	return []string{client.EnvOverrideHost + "=tcp://" + m.listener.Addr().String()}
}

func (m *meter) serve() {
	defer m.copying.Done()
	for {
		conn, err := m.listener.Accept()
		if err != nil {
			return
		}
		m.copying.Add(1)
		go func() {
			defer m.copying.Done()
			defer conn.Close()
			m.pass(conn)
		}()
	}
}

// starts is the request that starts a command.
var starts = regexp.MustCompile(`^POST \S*/exec/([0-9a-f]+)/start `)

func (m *meter) pass(conn net.Conn) {
	back, err := m.engine.api.Dialer()(context.Background())
	if err != nil {
		return
	}
	defer back.Close()
	from := bufio.NewReader(conn)
	first, err := from.ReadString('\n')
	if err != nil {
		return
	}
	count := &atomic.Int64{}
	if found := starts.FindStringSubmatch(first); found != nil {
		m.mu.Lock()
		m.sent[found[1]] = count
		m.mu.Unlock()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(conn, back)
		conn.Close()
	}()
	_, _ = io.Copy(counted{back, count}, io.MultiReader(strings.NewReader(first), from))
	if half, ok := back.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	<-done
}

type counted struct {
	io.Writer
	n *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// Sent implements bench.Meter. The request itself counts too, which is little.
func (m *meter) Sent(ctx context.Context) (map[string]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sent := map[string]int64{}
	for id, n := range m.sent {
		command, err := m.engine.api.ContainerExecInspect(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("looking up a command: %w", err)
		}
		sent[command.ContainerID] += n.Load()
	}
	return sent, nil
}

// Close ends the meter when all that it passes on has ended.
func (m *meter) Close() error {
	err := m.listener.Close()
	m.copying.Wait()
	return err
}
