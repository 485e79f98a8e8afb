package cluster

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/status"
)

// fan gives each layer that is read to all nodes that lack it, each as fast as the
// slowest of them takes it.
type fan struct {
	targets []*target
	none    context.CancelFunc // called when no node is left to read for
}

// layer takes a layer, as long as ctx lasts.
func (f *fan) layer(ctx context.Context, l imageload.Layer, r io.Reader) error {
	var to []io.Writer
	for _, t := range f.targets {
		if t.feed.left() || !t.missing[l.Digest] && !t.missing[l.DiffID] {
			continue
		}
		// A node that fails says itself why.
		if w, err := t.stream.Layer(l); err == nil {
			to = append(to, w)
		}
	}
	for {
		buf := make([]byte, chunkSize) // which nodes keep, see feed.Write
		n, err := io.ReadFull(r, buf)
		to = slices.DeleteFunc(to, func(w io.Writer) bool {
			_, err := w.Write(buf[:n])
			return err != nil
		})
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		case f.alone():
			f.none()
			return errGone
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
}

// alone says whether no node takes any more.
func (f *fan) alone() bool {
	return !slices.ContainsFunc(f.targets, func(t *target) bool { return !t.feed.left() })
}

const (
	// chunkSize is what is read at once, and feedChunks how many of these a node may
	// lag behind.
	chunkSize  = 256 << 10
	feedChunks = 16
)

// errGone is a node that takes no more.
var errGone = errors.New("the node's command has ended")

// feed is a pipe with room in it, so that nodes need not keep step.
type feed struct {
	chunks chan []byte
	gone   chan struct{} // closed when nobody reads any more
	leave  func()

	mu  sync.Mutex
	err error // what ends it, instead of io.EOF

	rest  []byte
	step  status.Step
	done  int64
	total int64 // bytes, 0 if not known
}

func newFeed(step status.Step) *feed {
	f := &feed{chunks: make(chan []byte, feedChunks), gone: make(chan struct{}), step: step}
	f.leave = sync.OnceFunc(func() { close(f.gone) })
	return f
}

// left says whether the reader has gone.
func (f *feed) left() bool {
	select {
	case <-f.gone:
		return true
	default:
		return false
	}
}

// Write takes a whole chunk as it is: it must not change any more.
func (f *feed) Write(p []byte) (int, error) {
	chunk := p
	if len(p) < chunkSize {
		chunk = slices.Clone(p)
	}
	select {
	case f.chunks <- chunk:
	case <-f.gone:
		return 0, errGone
	}
	f.done += int64(len(p))
	if f.step.Detail(size(f.done)); f.total > 0 {
		f.step.Progress(min(f.done, f.total), f.total)
	}
	return len(p), nil
}

// end ends the stream for its reader, with an error unless err is nil. Nothing is
// written after that.
func (f *feed) end(err error) {
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	close(f.chunks)
}

func (f *feed) Read(p []byte) (int, error) {
	if err := f.next(); err != nil {
		return 0, err
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// WriteTo spares a copy.
func (f *feed) WriteTo(w io.Writer) (sum int64, err error) {
	for {
		if err := f.next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return sum, err
		}
		n, err := w.Write(f.rest)
		sum, f.rest = sum+int64(n), f.rest[n:]
		if err != nil {
			return sum, err
		}
	}
}

// next waits for a chunk unless there is a rest of one.
func (f *feed) next() error {
	if len(f.rest) > 0 {
		return nil
	}
	chunk, ok := <-f.chunks
	if ok {
		f.rest = chunk
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	return io.EOF
}
