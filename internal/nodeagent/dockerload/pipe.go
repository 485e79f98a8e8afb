package dockerload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is what a pipe is made to hold, if it may be.
const pipeSize = 1 << 20

// pipePause is how long a pipe is left alone that is full, or empty. Who waits for room in
// a pipe is woken by each page that is read, moves that one, and waits again; the engine
// reads 100 to 500 kB in this time.
const pipePause = 2 * time.Millisecond

// errTaker is a pipe whose other end was closed.
var errTaker = errors.New("the engine takes no more of a layer")

// openPipe opens a named pipe that somebody reads, or waits to. ENXIO says that nobody
// does.
func openPipe(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	// A smaller one does as well, but slower.
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize)
	return os.NewFile(uintptr(fd), path), nil
}

// pour moves bytes into a pipe, from another one without looking at them.
func pour(to, from *os.File, size int64) error {
	left := size
	for left > 0 {
		n, err := unix.Splice(int(from.Fd()), nil, int(to.Fd()), nil, int(min(left, 1<<30)), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			time.Sleep(pipePause)
		case errors.Is(err, unix.EINVAL) && left == size:
			return pourCopied(to, from, size) // it is no pipe, nor a file that can
		case errors.Is(err, unix.EPIPE):
			return errTaker
		case err != nil:
			return fmt.Errorf("giving the engine a layer: %w", err)
		case n == 0:
			return fmt.Errorf("reading a layer: %w", io.ErrUnexpectedEOF)
		}
		left -= max(n, 0)
	}
	return nil
}

func pourCopied(to, from *os.File, size int64) error {
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, io.LimitReader(from, size), make([]byte, pipeSize))
	switch {
	case errors.Is(err, unix.EPIPE):
		return errTaker
	case err != nil:
		return fmt.Errorf("giving the engine a layer: %w", err)
	case n < size:
		return fmt.Errorf("reading a layer: %w", io.ErrUnexpectedEOF)
	}
	return nil
}
