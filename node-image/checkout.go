package nodeimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// checkout is a git work tree of Kubernetes as it is now.
type checkout struct {
	dir     string
	mod     []byte
	commit  string
	changed bool   // there are changes since, or new files
	version string // "v1.36.3-5+0123456789abcd-dirty"; "" without a tag
	digest  string // of the commit and all changes
}

func openCheckout(ctx context.Context, dir string) (*checkout, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err == nil && modfile.ModulePath(mod) != "k8s.io/kubernetes" {
		err = fmt.Errorf("its go.mod is of the module %q", modfile.ModulePath(mod))
	}
	if err != nil {
		return nil, &SpecError{"source", fmt.Sprintf("%s is no checkout of Kubernetes: %v", dir, err)}
	}
	c := &checkout{dir: dir, mod: mod}
	if err := c.isTop(ctx); err != nil {
		return nil, err
	}
	if err := c.read(ctx); err != nil {
		return nil, err
	}
	return c, c.describe(ctx)
}

// isTop sees that the folder is a git work tree of its own: of one that lies in
// another, and is ignored there, git would say that nothing ever changes.
func (c *checkout) isTop(ctx context.Context) error {
	var out strings.Builder
	err := git(ctx, c.dir, &out, "rev-parse", "--show-toplevel")
	var host *HostError
	if ctx.Err() != nil || errors.As(err, &host) {
		return err
	}
	if err != nil {
		return &SpecError{"source", err.Error()}
	}
	top := strings.TrimSpace(out.String())
	if real, err := filepath.EvalSymlinks(c.dir); err != nil || real != top {
		return &SpecError{"source", fmt.Sprintf("%s is no git work tree of its own, but lies in %s", c.dir, top)}
	}
	return nil
}

// read finds the commit and the digest.
func (c *checkout) read(ctx context.Context) error {
	var commit, list strings.Builder
	if err := git(ctx, c.dir, &commit, "rev-parse", "HEAD"); err != nil {
		return err
	}
	c.commit = strings.TrimSpace(commit.String())
	h, diff := sha256.New(), &counter{}
	fmt.Fprintln(h, c.commit)
	if err := git(ctx, c.dir, io.MultiWriter(h, diff), "diff", "--binary", "--no-ext-diff", "HEAD"); err != nil {
		return err
	}
	if err := git(ctx, c.dir, &list, "ls-files", "-z", "--others", "--exclude-standard"); err != nil {
		return err
	}
	c.changed = diff.n > 0 || list.Len() > 0
	for _, name := range strings.Split(strings.Trim(list.String(), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		if err := hashNew(h, c.dir, name); err != nil {
			return err
		}
	}
	c.digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return nil
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

// unchanged sees that the tree still is what it was when it was opened.
func (c *checkout) unchanged(ctx context.Context) error {
	now := &checkout{dir: c.dir}
	if err := now.read(ctx); err != nil {
		return err
	}
	if now.digest != c.digest {
		return fmt.Errorf("the checkout %s changed while it was built: build again", c.dir)
	}
	return nil
}

// source is what the manifest says of programs of the checkout.
func (c *checkout) source() string {
	if c.changed {
		return "checkout " + c.commit + " with changes"
	}
	return "checkout " + c.commit
}

// commitID is "" without a checkout.
func (c *checkout) commitID() string {
	if c == nil {
		return ""
	}
	return c.commit
}

// treeState is in Kubernetes' own words.
func (c *checkout) treeState() string {
	if c != nil && c.changed {
		return "dirty"
	}
	return "clean"
}

func git(ctx context.Context, dir string, w io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	var out tail
	cmd.Stdout, cmd.Stderr = w, &out
	err := cmd.Run()
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return &HostError{Reason: "git, which reads a checkout, is not installed", Remedy: "install the package git"}
	}
	return fmt.Errorf("reading the checkout %s: git %s: %w: %s", dir, args[0], err, out.String())
}
