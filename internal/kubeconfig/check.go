package kubeconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Check says why an entry called name could not be merged into the file at path,
// as far as can be told without writing anything; nil if it could.
func Check(path, name string) error {
	if err := check(path, name); err != nil {
		return fmt.Errorf("kubeconfig %s cannot be used: %w", path, err)
	}
	return nil
}

func check(path, name string) error {
	target, err := follow(path)
	if err != nil {
		return err
	}
	old, err := read(target)
	if err != nil {
		return err
	}
	if _, err := withEntry(old.data, Entry{Name: name}); err != nil {
		return err
	}
	// Both folders get a lock, and the target's the new file.
	for _, p := range []string{path, target} {
		if err := checkFolder(filepath.Dir(p)); err != nil {
			return err
		}
	}
	return nil
}

// checkFolder sees that files can be made in dir, or in the nearest folder above
// it that there is.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		return checkFolder(filepath.Dir(dir))
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("writing to folder %s: %w", dir, err)
	}
	return nil
}
