package nodeimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// useCheckout makes a graph be built from a git work tree, with that tree's
// own go.mod and vendored modules.
func (in *GraphInput) useCheckout(ctx context.Context, dir string) error {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return &SpecError{"source", fmt.Sprintf("%s is no checkout of Kubernetes: %v", dir, err)}
	}
	in.dir, in.mod, in.sum, in.Mod, in.Sum = dir, mod, nil, "", ""
	in.Checkout, err = checkoutDigest(ctx, dir)
	return err
}

// checkoutDigest is the digest of a git work tree as it is now: its commit,
// what was changed since, and the files git does not know yet.
func checkoutDigest(ctx context.Context, dir string) (string, error) {
	h := sha256.New()
	for _, args := range [][]string{{"rev-parse", "HEAD"}, {"diff", "--binary", "--no-ext-diff", "HEAD"}} {
		if err := git(ctx, dir, h, args...); err != nil {
			return "", err
		}
	}
	var list strings.Builder
	if err := git(ctx, dir, &list, "ls-files", "-z", "--others", "--exclude-standard"); err != nil {
		return "", err
	}
	for _, name := range strings.Split(strings.Trim(list.String(), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		if err := hashNew(h, dir, name); err != nil {
			return "", err
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// hashNew adds a file that git does not know.
func hashNew(h hash.Hash, dir, name string) error {
	path := filepath.Join(dir, name)
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("reading the checkout: %w", err)
	}
	content := "not a file"
	if info.Mode().IsRegular() {
		if content, err = digestFile(path); err != nil {
			return fmt.Errorf("reading the checkout: %w", err)
		}
	}
	_, err = fmt.Fprintf(h, "%s\x00%v\x00%s\x00", name, info.Mode(), content)
	return err
}

func git(ctx context.Context, dir string, w io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	var out tail
	cmd.Stdout, cmd.Stderr = w, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("reading the checkout %s: git %s: %w: %s", dir, args[0], err, out.String())
	}
	return nil
}
