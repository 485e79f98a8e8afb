package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodeagent/boot"
	"github.com/kluster-project/kluster/internal/nodeagent/ipam"
	"github.com/kluster-project/kluster/internal/nodeagent/netpol"
	"github.com/kluster-project/kluster/internal/nodeagent/ocishim"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// rangesTimeout is how long a pod's start waits for the node's ranges. The
// kubelet tries again after it.
const rangesTimeout = 60 * time.Second

// runIPAM is the CNI plugin kluster-ipam.
func runIPAM(ctx context.Context, _ *slog.Logger, _ []string) error {
	err := delegateIPAM(ctx)
	if err == nil {
		return nil
	}
	return errors.Join(err, cniError(os.Stdout, err))
}

func delegateIPAM(ctx context.Context) error {
	config, err := io.ReadAll(os.Stdin)
	if err != nil {
		return fmt.Errorf("reading the network configuration: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, rangesTimeout)
	defer cancel()
	config, ok, err := ipam.Delegate(ctx, ipam.Request{
		Command: os.Getenv("CNI_COMMAND"), Config: config, NetworkFile: nodespec.NetworkFile,
	})
	if err != nil || !ok {
		return err
	}
	plugin := hostLocal(os.Getenv("CNI_PATH"))
	if os.Getenv("CNI_COMMAND") == "ADD" && exists(nodespec.PolicySocket) == nil {
		return addHeld(ctx, plugin, config)
	}
	if err := replaceStdin(config); err != nil {
		return err
	}
	if err := syscall.Exec(plugin, []string{plugin}, os.Environ()); err != nil {
		return fmt.Errorf("running %s: %w", plugin, err)
	}
	return nil
}

// addHeld calls the plugin, and passes its result on when the network policies of
// the pod hold. When they do not in time, the runtime takes the address back.
func addHeld(ctx context.Context, plugin string, config []byte) error {
	cmd := exec.CommandContext(ctx, plugin)
	var result bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(config), &result, os.Stderr
	if err := cmd.Run(); err != nil {
		// It says why on stdout, in CNI's form.
		return fmt.Errorf("running %s: %w: %s", plugin, err, strings.TrimSpace(result.String()))
	}
	start, err := ipam.Start(os.Getenv("CNI_ARGS"), result.Bytes())
	if err != nil {
		return err
	}
	if err := netpol.Ask(ctx, nodespec.PolicySocket, start); err != nil {
		return err
	}
	_, err = os.Stdout.Write(result.Bytes())
	return err
}

// hostLocal finds the plugin host-local beside this one.
func hostLocal(path string) string {
	for _, dir := range filepath.SplitList(path) {
		plugin := filepath.Join(dir, "host-local")
		if info, err := os.Stat(plugin); err == nil && !info.IsDir() {
			return plugin
		}
	}
	return "/opt/cni/bin/host-local"
}

// replaceStdin makes text what the next program reads.
func replaceStdin(text []byte) error {
	fd, err := unix.MemfdCreate("stdin", 0)
	if err != nil {
		return fmt.Errorf("making a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "stdin")
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return fmt.Errorf("writing a file in memory: %w", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewinding a file in memory: %w", err)
	}
	return unix.Dup3(fd, 0, 0)
}

// tryAgainLater is CNI's error code of that name.
const tryAgainLater = 11

// cniError tells a container runtime of a failure in CNI's form.
func cniError(w io.Writer, err error) error {
	return json.NewEncoder(w).Encode(struct {
		Version string `json:"cniVersion"`
		Code    int    `json:"code"`
		Message string `json:"msg"`
	}{"1.0.0", tryAgainLater, err.Error()})
}

// runOCI is the OCI runtime kluster-oci, which is another one with what this node
// cannot do left out.
func runOCI(name string) func(context.Context, *slog.Logger, []string) error {
	return func(_ context.Context, _ *slog.Logger, args []string) error {
		real, err := cri.GetOCI(name)
		if err != nil {
			return err
		}
		limits := ocishim.Here()
		limits.Spec = real.Spec
		if bundle, ok := ocishim.Bundle(args); ok {
			if err := ocishim.Adapt(bundle, limits); err != nil {
				return err
			}
		}
		if file, ok := ocishim.Process(args); ok {
			if err := ocishim.AdaptProcess(file, limits); err != nil {
				return err
			}
		}
		if err := syscall.Exec(real.Program, append([]string{real.Name}, args...), os.Environ()); err != nil {
			return fmt.Errorf("running %s: %w", real.Program, err)
		}
		return nil
	}
}

// runHideProduct is an OCI hook: it reads the container's state from stdin.
func runHideProduct(_ context.Context, log *slog.Logger, args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	var state struct {
		Bundle string `json:"bundle"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&state); err != nil {
		return fmt.Errorf("reading the container's state: %w", err)
	}
	root, err := rootOf(state.Bundle)
	if err != nil {
		return err
	}
	return boot.HideProductIn(&boot.Machine{Kernel: boot.Linux{}, Log: log}, root)
}

// rootOf is the root file system of a bundle's container.
func rootOf(bundle string) (string, error) {
	text, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		return "", fmt.Errorf("reading the container's configuration: %w", err)
	}
	var config struct {
		Root struct {
			Path string `json:"path"`
		} `json:"root"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return "", fmt.Errorf("reading the container's configuration: %w", err)
	}
	if filepath.IsAbs(config.Root.Path) {
		return config.Root.Path, nil
	}
	return filepath.Join(bundle, config.Root.Path), nil
}
