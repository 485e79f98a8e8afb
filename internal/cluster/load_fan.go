package cluster

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/status"
)

// sendAll reads the source once for all nodes, and sees that layers are what they should be.
func (l *loader) sendAll(ctx context.Context, targets []*target) error {
	all := l.src.Images()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	f := &fan{targets: targets, none: stop}
	var importing errgroup.Group
	for _, t := range targets {
		t.err, t.feed = nil, newFeed(t.step)
		t.feed.total, _ = imageload.Bytes(all, t.missing)
		t.stream = imageload.NewStream(t.feed, all)
		importing.Go(func() error {
			t.err = l.run(ctx, t, t.feed)
			t.feed.leave()
			return nil
		})
	}
	err := l.src.Read(reading, missing(targets), func(layer imageload.Layer, r io.Reader) error { return f.layer(reading, layer, r) })
	if f.alone() {
		err = nil // all nodes have failed, and say why
	}
	if err == nil {
		err = context.Cause(ctx) // what names the images is not written then
	}
	for _, t := range targets {
		if err == nil {
			// Where this fails the node's command has ended, and tells why.
			t.feed.end(t.stream.Close(all))
		} else {
			t.feed.end(err)
		}
	}
	_ = importing.Wait() // errors are with their nodes
	return err
}

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

	rest []byte
	progress
}

// progress tells how much a node has been sent.
type progress struct {
	step  status.Step
	done  int64
	total int64 // bytes, 0 if not known
}

func (p *progress) add(n int64) {
	p.done += n
	if p.step.Detail(size(p.done)); p.total > 0 {
		p.step.Progress(min(p.done, p.total), p.total)
	}
}

func newFeed(step status.Step) *feed {
	f := &feed{chunks: make(chan []byte, feedChunks), gone: make(chan struct{}), progress: progress{step: step}}
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
	f.add(int64(len(p)))
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
