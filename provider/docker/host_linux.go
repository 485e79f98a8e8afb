package docker

import (
	"os"

	"golang.org/x/sys/unix"
)

// growPipe makes a pipe hold more, so that fewer turns are taken. It is as good
// without.
func growPipe(pipe *os.File) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
}

// listenerPID is the process that listens on a unix socket, 0 if unknown.
func listenerPID(path string) int {
	conn, err := dialSocket(path)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// freeBytes is what an ordinary user may still write at path, 0 if unknown: of a full disk
// it is 1. Some file systems give no figures.
func freeBytes(path string) int64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil || fs.Blocks == 0 {
		return 0
	}
	return max(1, int64(fs.Bavail)*fs.Bsize)
}
