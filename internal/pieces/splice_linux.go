package pieces

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// splice moves what a pipe has room for; errFull says that it has none. Kernels before 5.1
// splice without waiting only if they are told so, however the pipe was opened.
func splice(pipe syscall.RawConn, p *Piece) (n int64, err error) {
	file, err := p.File.SyscallConn()
	if err != nil {
		return 0, err
	}
	at := p.Offset
	var written error
	held := file.Control(func(from uintptr) {
		written = pipe.Write(func(to uintptr) bool {
			for err = unix.EINTR; errors.Is(err, unix.EINTR); {
				n, err = unix.Splice(int(from), &at, int(to), nil, int(min(p.Size, maxSplice)), unix.SPLICE_F_NONBLOCK)
			}
			return true
		})
	})
	switch {
	case written != nil:
		return 0, fmt.Errorf("%w: %w", errPipe, written)
	case errors.Is(err, unix.EAGAIN):
		return 0, errFull
	case errors.Is(err, unix.EPIPE):
		return 0, fmt.Errorf("%w: %w", errPipe, err)
	}
	return max(n, 0), errors.Join(err, held)
}

// unfit says that a file of this kind cannot be spliced, or that the kernel does not do it.
func unfit(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM)
}
