package nodeimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/version"
	"os/exec"
	"strings"

	"golang.org/x/mod/modfile"
)

// ToolchainError is a Go toolchain that is missing or too old.
type ToolchainError struct{ Reason string }

func (e *ToolchainError) Error() string {
	return e.Reason + "; a node image is built with Go (https://go.dev/dl)"
}

// ExitCode is that of an unfit host.
func (e *ToolchainError) ExitCode() int { return exitUnfit }

// goVersion asks the go command for its version, "go1.26.8".
func goVersion(ctx context.Context, goCmd string) (string, error) {
	cmd := exec.CommandContext(ctx, goCmd, "env", "GOVERSION")
	cmd.Env = goEnv()
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) || (err != nil && cmd.Process == nil) {
		return "", &ToolchainError{Reason: "no Go toolchain found: " + err.Error()}
	}
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", goCmd, err)
	}
	got := strings.Fields(string(bytes.TrimSpace(out)))
	if len(got) == 0 || !version.IsValid(got[0]) {
		return "", &ToolchainError{Reason: fmt.Sprintf("%s says its version is %q", goCmd, bytes.TrimSpace(out))}
	}
	return got[0], nil
}

// checkToolchain compares the toolchain with what the module graphs ask for.
func checkToolchain(have string, graphs []GraphInput) error {
	for _, g := range graphs {
		f, err := modfile.ParseLax(g.Name, g.mod, nil)
		if err != nil {
			return fmt.Errorf("module graph %s: %w", g.Name, err)
		}
		if f.Go != nil && version.Compare(have, "go"+f.Go.Version) < 0 {
			return &ToolchainError{Reason: fmt.Sprintf("%s is too old: %s %s needs go%s", have, g.Name, g.Version, f.Go.Version)}
		}
	}
	return nil
}
