package pieces

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

const (
	// bufferSize is what small pieces are collected in: a pipe holds a number of writes,
	// however small each is.
	bufferSize = 256 << 10
	// minSplice is how long a piece of a file must be to be worth a call of its own.
	minSplice = 64 << 10
	// maxSplice is moved at once, so that progress is seen where a pipe has no bounds.
	maxSplice = 4 << 20
	// fullPause is how long a full pipe is left to its reader. Who waits for room in a pipe
	// is woken by each page that is read, moves that one, and waits again: some 100,000
	// times a second with three nodes. In this time a node reads a few hundred kB.
	fullPause = 2 * time.Millisecond
)

var (
	// errPipe is a pipe that takes no more, and errFull one that takes no more now.
	errPipe = errors.New("the pipe takes no more")
	errFull = errors.New("the pipe is full")
)

// writer writes pieces.
type writer struct {
	to io.Writer
	// pipe is to, if files can be spliced into it.
	pipe syscall.RawConn
	// over is asked before each write, and its error ends the writing; note is told after
	// it how much was written.
	over func() error
	note func(n int64)

	buf    []byte
	sum    int64
	failed error // of to, or of over
}

func newWriter(to io.Writer, over func() error, note func(n int64)) *writer {
	return &writer{to: to, pipe: pipeOf(to), over: over, note: note, buf: make([]byte, 0, bufferSize)}
}

// pipeOf is what splices into a pipe, nil for anything else.
func pipeOf(to io.Writer) syscall.RawConn {
	f, ok := to.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		return nil
	}
	// Where a file has no deadlines there is no waiting for room, but in a write.
	if err := f.SetWriteDeadline(time.Time{}); err != nil {
		return nil
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil
	}
	return conn
}

func (w *writer) put(p Piece) error {
	if p.File == nil {
		return w.text(p.Text)
	}
	if w.pipe != nil && p.Size >= minSplice {
		if err := w.flush(); err != nil {
			return err
		}
		if err := w.splice(&p); err != nil {
			return err
		}
	}
	return w.copy(&p) // what is left of it
}

// text adds to the buffer.
func (w *writer) text(text []byte) error {
	for len(text) > 0 {
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return err
			}
		}
		n := copy(w.buf[len(w.buf):cap(w.buf)], text)
		w.buf, text = w.buf[:len(w.buf)+n], text[n:]
	}
	return nil
}

// copy adds a file to the buffer.
func (w *writer) copy(p *Piece) error {
	for p.Size > 0 {
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return err
			}
		}
		n, err := p.take(w.buf[len(w.buf):cap(w.buf)])
		if err != nil {
			return err
		}
		w.buf = w.buf[:len(w.buf)+n]
	}
	return nil
}

func (w *writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if w.failed = w.over(); w.failed != nil {
		return w.failed
	}
	n, err := w.to.Write(w.buf)
	w.buf = w.buf[:0]
	return w.wrote(int64(n), err)
}

// wrote counts, and keeps an error of where it is written to.
func (w *writer) wrote(n int64, err error) error {
	w.sum += n
	w.note(n)
	w.failed = err
	return err
}

// splice moves a piece into the pipe; it leaves it, or the rest of it, where that cannot be.
func (w *writer) splice(p *Piece) error {
	for p.Size > 0 {
		if w.failed = w.over(); w.failed != nil {
			return w.failed
		}
		n, err := splice(w.pipe, p)
		switch {
		case errors.Is(err, errFull):
			time.Sleep(fullPause)
			continue
		case unfit(err):
			w.pipe = nil
			return nil
		case errors.Is(err, errPipe):
			return w.wrote(0, err)
		case err != nil:
			return fmt.Errorf("reading %s: %w", p.File.Name(), err)
		case n == 0:
			return p.short()
		}
		p.Offset, p.Size = p.Offset+n, p.Size-n
		_ = w.wrote(n, nil) // gives the error back
	}
	return nil
}
