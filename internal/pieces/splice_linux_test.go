package pieces

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

// A pipe that is full makes nobody wait in the kernel, whatever the kernel makes of how the
// pipe was opened: closing it would not end that.
func TestSpliceIntoAFullPipe(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	defer to.Close()
	conn, err := to.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := blocking(conn); err != nil {
		t.Fatal(err)
	}
	// So that the test fails where it would hang.
	defer time.AfterFunc(10*time.Second, func() { from.Close() }).Stop()
	p := Piece{File: fileOf(t, make([]byte, 1<<20)), Size: 1 << 20}
	for err == nil {
		_, err = splice(conn, &p) // the pipe has less room than that
	}
	if !errors.Is(err, errFull) {
		t.Errorf("err = %v", err)
	}
}

// blocking makes a pipe one whose writes block, to all but Go.
func blocking(conn syscall.RawConn) (err error) {
	held := conn.Control(func(fd uintptr) { err = syscall.SetNonblock(int(fd), false) })
	return errors.Join(err, held)
}
