package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// atOnce is more than what is on its way to a node, and much less than a big layer.
const atOnce = 4 << 20

// A load that is interrupted ends at once, in the middle of a layer, too. What reads the
// stream in a node is not killed: it sees that the stream has ended, and takes back what it
// has made.
func TestLoadInterrupted(t *testing.T) {
	for name, give := range map[string]giver{"read": asItIs, "by a pipe": byPipe} {
		for when, after := range map[string]int64{"before anything is read": 0, "in the last layer": 1 << 20} {
			t.Run(name+", "+when, func(t *testing.T) { interruptsLoad(t, give, after) })
		}
	}
}

func interruptsLoad(t *testing.T, give giver, after int64) {
	t.Helper()
	m, p, l := loading(t)
	ctx, interrupt := context.WithCancelCause(t.Context())
	p.Handle = func(c context.Context, n provider.Node, cmd provider.Command) int {
		if !readsStream(cmd) {
			return l.handle(c, n, cmd)
		}
		stream, ended := give(t, cmd.Stdin)
		if _, err := io.CopyN(io.Discard, stream, after); err != nil {
			t.Error(err)
		}
		interrupt(failure.ErrInterrupted)
		data, err := io.ReadAll(stream)
		if err = errors.Join(err, ended()); !errors.Is(err, failure.ErrInterrupted) || c.Err() != nil {
			t.Errorf("the stream ended with %v, the command's context with %v", err, c.Err())
		}
		if len(data) > atOnce || bytes.Contains(data, []byte(imageload.ManifestFile)) {
			t.Errorf("%d bytes came afterwards", len(data))
		}
		return 1
	}
	opt := LoadOptions{Cluster: "a", Nodes: bothNodes[:1], Archive: l.archive(t, l.image(t, "app:1", 2).big(t))}
	if err := m.Load(ctx, opt); !errors.Is(err, failure.ErrInterrupted) {
		t.Errorf("err = %v", err)
	}
}

// giver gives a command its standard input, and tells, when that has ended, how.
type giver func(t *testing.T, stdin io.Reader) (stream io.Reader, ended func() error)

func asItIs(_ *testing.T, stdin io.Reader) (io.Reader, func() error) {
	return stdin, func() error { return nil }
}

// byPipe writes it to a pipe, as providers may.
func byPipe(t *testing.T, stdin io.Reader) (io.Reader, func() error) {
	t.Helper()
	from, to, err := os.Pipe()
	if err != nil {
		t.Error(err)
		return asItIs(t, stdin)
	}
	t.Cleanup(func() { from.Close() })
	written := make(chan error, 1)
	go func() {
		_, err := stdin.(io.WriterTo).WriteTo(to)
		to.Close()
		written <- err
	}()
	return from, func() error { return <-written }
}

// interrupted is a source, not for several at once, behind whose last layer a load is
// interrupted.
type interrupted struct {
	imageload.Source
	interrupt context.CancelCauseFunc
}

func (s interrupted) Read(ctx context.Context, wanted map[v1.Hash]bool, put func(imageload.Layer, io.Reader) error) error {
	err := s.Source.Read(ctx, wanted, put)
	s.interrupt(failure.ErrInterrupted)
	return err
}

// Of what is read once for all nodes nothing is made, either.
func TestLoadInterruptedBehindTheLastLayer(t *testing.T) {
	m, p, l := loading(t)
	src, err := m.loadSource(t.Context(), LoadOptions{Archive: l.archive(t, l.image(t, "app:1", 2))})
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := m.loadTargets(t.Context(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Handle = func(c context.Context, n provider.Node, cmd provider.Command) int {
		if !readsStream(cmd) {
			return l.handle(c, n, cmd)
		}
		data, err := io.ReadAll(cmd.Stdin)
		if !errors.Is(err, failure.ErrInterrupted) || bytes.Contains(data, []byte(imageload.ManifestFile)) {
			t.Errorf("the stream of %d bytes ended with %v", len(data), err)
		}
		return 1
	}
	ctx, interrupt := context.WithCancelCause(t.Context())
	if err := m.load(ctx, nodes, interrupted{src, interrupt}, false, status.Discard); !errors.Is(err, failure.ErrInterrupted) {
		t.Errorf("err = %v", err)
	}
}
