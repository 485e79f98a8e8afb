package nodeimage

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// checkoutDigest is the digest of a git work tree as it is now: the commit,
// what was changed since, and files that are new.
func checkoutDigest(ctx context.Context, dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, args := range [][]string{{"rev-parse", "HEAD"}, {"diff", "HEAD", "--binary"}} {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", abs}, args...)...).Output()
		if err != nil {
			return "", fmt.Errorf("reading the checkout %s: git %s: %w", dir, args[0], err)
		}
		all.Write(out)
	}
	return digestOf([]byte(all.String())), nil
}
