//go:build !linux

package pieces

import (
	"errors"
	"syscall"
)

// splice is Linux's.
func splice(syscall.RawConn, *Piece) (int64, error) { return 0, errors.ErrUnsupported }

func unfit(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
