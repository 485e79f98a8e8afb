package kubeconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/kluster-project/kluster/internal/failure"
)

// content is a file's data and what else must survive its replacement.
type content struct {
	data []byte
	mode fs.FileMode
	// uid and gid are the owner's, if there is a file.
	uid, gid int
	exists   bool
}

// read reads the file at path; one that does not exist is empty, for its owner
// alone.
func read(path string) (content, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return content{mode: 0o600}, nil
	}
	if err != nil {
		return content{}, err
	}
	if !info.Mode().IsRegular() {
		return content{}, errors.New("not a regular file")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return content{}, err
	}
	c := content{data: data, mode: info.Mode().Perm(), exists: true}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		c.uid, c.gid = int(st.Uid), int(st.Gid)
	}
	return c, nil
}

// Save writes a kubeconfig that holds keys as a file of its own, for its owner alone,
// in place of the file that is there or that a link there leads to. What is no file,
// such as /dev/stdout, is written to.
func Save(path string, conf []byte) error {
	if err := save(path, conf); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func save(path string, conf []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeTo(path, conf)
	}
	target, err := follow(path)
	if err != nil {
		return err
	}
	return replace(target, content{data: conf, mode: 0o600})
}

// writeTo writes to a device or a pipe.
func writeTo(path string, conf []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(conf)
	return errors.Join(err, f.Close())
}

// replace writes c beside path and renames it over path, so that there is at all
// times, a power failure included, the old file or the new one. Under the lock nobody
// else writes there: the new file has one name, and what a process that was killed has
// left of it goes.
func replace(path string, c content) (err error) {
	dir := filepath.Dir(path)
	name := filepath.Join(dir, "."+filepath.Base(path)+".kluster")
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tmp.Close(), os.Remove(tmp.Name()))
		}
	}()
	if err := fill(tmp, c); err != nil {
		return noSpace(fmt.Errorf("writing the new file: %w", err), dir, len(c.data))
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	// The new file is in place: what fails from here on is not worth an error.
	_ = tmp.Close()
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

// noSpace adds to the error of a full disk what is needed of it.
func noSpace(err error, dir string, bytes int) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return failure.With(err, failure.Exit(failure.CodeHost),
		failure.Hint("the file is as it was; %d bytes must be free in %s", bytes, dir))
}

func fill(f *os.File, c content) error {
	if _, err := f.Write(c.data); err != nil {
		return err
	}
	// root may edit a user's file (sudo), which must stay the user's.
	if c.exists && os.Geteuid() == 0 {
		if err := f.Chown(c.uid, c.gid); err != nil {
			return err
		}
	}
	if err := f.Chmod(c.mode); err != nil {
		return err
	}
	return f.Sync()
}
