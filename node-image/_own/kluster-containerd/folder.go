package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lockParent waits for those who hold the lock of the folder that base lies in. It is
// never held while stdin is read: who feeds several nodes at once keeps them in step,
// and two loads that each wait for the other in one node would wait for ever.
func lockParent(base string) (unlock func(), err error) {
	parent := filepath.Dir(base)
	if err := os.MkdirAll(parent, 0o711); err != nil {
		return nil, err
	}
	f, err := lockFolder(parent, syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// lockFolder locks a folder itself, so that no file is left; the lock ends with this process.
func lockFolder(dir string, how int) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ownFolder makes a folder below base for this load alone, and removes those that
// nobody holds: of loads that were killed.
func ownFolder(base string) (dir string, free func() error, err error) {
	unlock, err := lockParent(base)
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", nil, err
	}
	if err := sweep(base); err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(base, ""); err != nil {
		return "", nil, err
	}
	held, err := lockFolder(dir, syscall.LOCK_EX)
	if err != nil {
		return "", nil, err
	}
	return dir, func() error {
		unlock, err := lockParent(base)
		if err != nil {
			return err
		}
		defer unlock()
		err = errors.Join(os.RemoveAll(dir), held.Close())
		_ = os.Remove(base) // unless another load has a folder there
		return err
	}, nil
}

func sweep(base string) error {
	entries, err := os.ReadDir(base)
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(base, e.Name())
		held, err := lockFolder(dir, syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err == nil {
			err = errors.Join(os.RemoveAll(dir), held.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
