package kubeconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"k8s.io/client-go/tools/clientcmd"
)

// Merge puts the current context of conf, with its cluster and user, into the file
// at path, which is made if need be, and makes it the current one there. The
// file's mode is 0600 or stricter afterwards. The warning, if not empty, is for
// the user, and may come with an error.
func Merge(ctx context.Context, path string, conf []byte) (warning string, err error) {
	e, err := Parse(conf)
	if err != nil {
		return "", err
	}
	if err = makeFolders(path); err == nil {
		warning, err = change(ctx, path, func(old []byte) ([]byte, error) { return withEntry(old, e) })
	}
	if err != nil {
		return warning, fmt.Errorf("adding context %s to kubeconfig %s: %w", e.Name, path, err)
	}
	return warning, nil
}

// Remove takes the cluster, user and context called name out of the file at path,
// and the current context if that was it. An entry that says it is of another create
// than creations stays. A file that does not exist, or does not mention name, is not
// touched. The warning is as Merge's.
func Remove(ctx context.Context, path, name string, creations []string) (warning string, err error) {
	old, err := os.ReadFile(path)
	if isAbsent(err) || err == nil && !bytes.Contains(old, []byte(name)) {
		return "", nil
	}
	warning, err = change(ctx, path, func(old []byte) ([]byte, error) {
		if by := CreationIn(old, name); by != "" && !slices.Contains(creations, by) {
			return old, nil
		}
		return withoutEntry(old, name)
	})
	if err != nil {
		return warning, fmt.Errorf("removing context %s from kubeconfig %s: %w", name, path, err)
	}
	return warning, nil
}

// CreationIn is the ID of the create that made the entry called name in a kubeconfig,
// "" where there is none or it does not say.
func CreationIn(conf []byte, name string) string {
	c, err := clientcmd.Load(conf)
	if err != nil || c.Contexts[name] == nil {
		return ""
	}
	return creationOf(c.Contexts[name])
}

// isAbsent says whether there is no file, or a file where its folder would be.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// makeFolders makes the folders of the file that path is, and of the one that it
// links to.
func makeFolders(path string) error {
	target, err := follow(path)
	if err != nil {
		return err
	}
	for _, p := range []string{path, target} {
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// change replaces the file that path is, or links to, with what f makes of it.
func change(ctx context.Context, path string, f func(old []byte) ([]byte, error)) (warning string, err error) {
	target, err := follow(path)
	if err != nil {
		return "", err
	}
	unlock, notes, err := lockAll(ctx, path, target)
	warning = strings.Join(notes, "; ")
	if err != nil {
		return warning, err
	}
	defer unlock()

	old, err := read(target)
	if err != nil {
		return warning, err
	}
	data, err := f(old.data)
	if err != nil {
		return warning, err
	}
	if bytes.Equal(data, old.data) && old.mode == old.mode&0o600 {
		return warning, nil
	}
	old.data, old.mode = data, old.mode&0o600
	return warning, replace(target, old)
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
