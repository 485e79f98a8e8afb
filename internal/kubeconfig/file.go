package kubeconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Merge puts e into the file at path, which is made if need be, and makes e's
// context the current one. The file's mode is 0600 or stricter afterwards. It
// returns what the user should know of, as lines, even with an error.
func Merge(ctx context.Context, path string, e Entry) (notes []string, err error) {
	notes, err = change(ctx, path, func(old []byte) ([]byte, error) { return withEntry(old, e) })
	if err != nil {
		return notes, fmt.Errorf("adding context %s to kubeconfig %s: %w", e.Name, path, err)
	}
	return notes, nil
}

// Remove takes the cluster, user and context called name out of the file at path,
// and the current context if that was it. A file that does not exist, or does not
// mention name, is not touched.
func Remove(ctx context.Context, path, name string) (notes []string, err error) {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !bytes.Contains(old, []byte(name)) {
		return nil, nil
	}
	notes, err = change(ctx, path, func(old []byte) ([]byte, error) { return withoutEntry(old, name) })
	if err != nil {
		return notes, fmt.Errorf("removing context %s from kubeconfig %s: %w", name, path, err)
	}
	return notes, nil
}

// change replaces the file that path is, or links to, with what f makes of it.
func change(ctx context.Context, path string, f func(old []byte) ([]byte, error)) ([]string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	target, err := follow(path)
	if err != nil {
		return nil, err
	}
	unlock, notes, err := lockAll(ctx, path, target)
	if err != nil {
		return notes, err
	}
	defer unlock()

	old, err := read(target)
	if err != nil {
		return notes, err
	}
	data, err := f(old.data)
	if err != nil {
		return notes, err
	}
	if bytes.Equal(data, old.data) && old.mode == old.mode&0o600 {
		return notes, nil
	}
	old.data, old.mode = data, old.mode&0o600
	return notes, replace(target, old)
}

// follow resolves path if it is a symbolic link, dangling ones too.
func follow(path string) (string, error) {
	for range 40 { // as many as Linux follows
		target, err := os.Readlink(path)
		if err != nil { // not a link, or nothing there
			return path, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", fmt.Errorf("%s: too many symbolic links", path)
}
