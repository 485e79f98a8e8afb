package kubeconfig

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// Paths are the files that kubectl would read, in its order: those of
// $KUBECONFIG, a list, or else ~/.kube/config. Entries go into the first.
func Paths(getenv func(string) string) ([]string, error) {
	list := filepath.SplitList(getenv("KUBECONFIG"))
	list = slices.DeleteFunc(list, func(p string) bool { return p == "" })
	if len(list) > 0 {
		return list, nil
	}
	home := getenv("HOME")
	if home == "" {
		return nil, errors.New("neither KUBECONFIG nor HOME is set: name a file with --kubeconfig")
	}
	return []string{filepath.Join(home, ".kube", "config")}, nil
}

// Path is the absolute path of the file that entries go into: explicit, if it is
// not empty, or else the first of Paths.
func Path(explicit string, getenv func(string) string) (string, error) {
	if explicit == "" {
		list, err := Paths(getenv)
		if err != nil {
			return "", err
		}
		explicit = list[0]
	}
	path, err := filepath.Abs(explicit)
	if err != nil {
		return "", fmt.Errorf("finding kubeconfig %s: %w", explicit, err)
	}
	return path, nil
}
