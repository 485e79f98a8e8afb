// Package pieces reads streams that are made of texts and of parts of files. What lies
// in files goes into a pipe by splice, where that can be: the pipe then refers to the
// memory in which the kernel keeps the file, and nothing is copied. So several can be
// given the same files, each at its own pace, for little more than one takes.
package pieces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
)

// Piece is a part of a stream: Text, or Size bytes of File from Offset on. It lasts until
// the next one is asked for.
type Piece struct {
	Text []byte

	File         *os.File
	Offset, Size int64
}

// Seq is a stream. An error is its last.
type Seq = iter.Seq2[Piece, error]

// Fail is a stream that cannot be read.
func Fail(err error) Seq {
	return func(yield func(Piece, error) bool) { yield(Piece{}, err) }
}

// errClosed is a reader that was closed.
var errClosed = errors.New("the stream was closed")

// Reader reads a stream: all of it by WriteTo, for the price of a few system calls if that
// is a pipe, or as much as is wanted by Read.
type Reader struct {
	ctx context.Context
	end context.CancelCauseFunc // of ctx
	seq Seq
	// note is told how many bytes have gone.
	note func(n int64)

	mu  sync.Mutex // is held while it is read
	err error

	next func() (Piece, error, bool) // of Read
	stop func()
	now  Piece
}

// NewReader reads a stream as long as ctx lasts; note may be nil.
func NewReader(ctx context.Context, seq Seq, note func(n int64)) *Reader {
	if note == nil {
		note = func(int64) {}
	}
	ctx, end := context.WithCancelCause(ctx)
	return &Reader{ctx: ctx, end: end, seq: seq, note: note, stop: func() {}}
}

// Err is why the stream itself could not be read, or not to its end: no failure of those
// that it was written to.
func (r *Reader) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Close ends what is being read with the next write of it, as the end of its context does,
// and waits for that. Afterwards nothing is read.
func (r *Reader) Close() error {
	r.end(errClosed)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop()
	return nil
}

// WriteTo implements io.WriterTo.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.over(); err != nil {
		return 0, err
	}
	to := newWriter(w, r.over, r.note)
	for p, err := range r.seq {
		if err == nil {
			err = to.put(p)
		}
		if err != nil {
			return to.sum, r.failed(err, to.failed)
		}
	}
	err := to.flush()
	return to.sum, r.failed(err, to.failed)
}

// over is why nothing more is read: the stream has failed, or was ended.
func (r *Reader) over() error {
	if r.err != nil {
		return r.err
	}
	return context.Cause(r.ctx)
}

// failed keeps an error of the stream; one of where it was written to is none.
func (r *Reader) failed(err, written error) error {
	if written == nil {
		r.err = err
	}
	return err
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.over(); err != nil {
		return 0, err
	}
	if r.next == nil {
		r.next, r.stop = iter.Pull2(r.seq)
	}
	for len(r.now.Text) == 0 && r.now.Size == 0 {
		now, err, more := r.next()
		if !more {
			return 0, io.EOF
		}
		if err != nil {
			return 0, r.failed(err, nil)
		}
		r.now = now
	}
	n, err := r.now.take(p)
	r.note(int64(n))
	return n, r.failed(err, nil)
}

// take reads of what is left of a piece.
func (p *Piece) take(to []byte) (int, error) {
	if p.File == nil {
		n := copy(to, p.Text)
		p.Text = p.Text[n:]
		return n, nil
	}
	n, err := p.File.ReadAt(to[:min(int64(len(to)), p.Size)], p.Offset)
	p.Offset, p.Size = p.Offset+int64(n), p.Size-int64(n)
	switch {
	case n > 0 || len(to) == 0:
		return n, nil
	case errors.Is(err, io.EOF):
		err = p.short()
	}
	return n, err
}

// short is a file that ends before the piece does.
func (p *Piece) short() error {
	return fmt.Errorf("%s ends %d bytes early: %w", p.File.Name(), p.Size, io.ErrUnexpectedEOF)
}
