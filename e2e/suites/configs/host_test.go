package configs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// need gives the reason why the host cannot do what a file asks for, or "".
type need func(ctx context.Context, k *harness.Kluster) string

func ipv6(ctx context.Context, _ *harness.Kluster) string {
	if b, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6"); err == nil && strings.TrimSpace(string(b)) == "1" {
		return "the host has IPv6 switched off (net.ipv6.conf.all.disable_ipv6)"
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "[::1]:0")
	if err != nil {
		return fmt.Sprintf("the host has no IPv6: %v", err)
	}
	l.Close()
	return ""
}

// freePort needs a port of the host, as "tcp" and "0.0.0.0:80".
func freePort(network, address string) need {
	return func(ctx context.Context, _ *harness.Kluster) string {
		if err := bind(ctx, network, address); errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Sprintf("%s %s of the host is taken", network, address)
		}
		return "" // without the right to bind it cannot be told: create will
	}
}

// bind takes a port and gives it back.
func bind(ctx context.Context, network, address string) error {
	var config net.ListenConfig
	if network == "udp" {
		c, err := config.ListenPacket(ctx, network, address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := config.Listen(ctx, network, address)
	if err != nil {
		return err
	}
	return l.Close()
}

func sctp(context.Context, *harness.Kluster) string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_SCTP)
	if err != nil {
		return fmt.Sprintf("the kernel has no SCTP: %v", err)
	}
	syscall.Close(fd)
	return ""
}

// kernelModule needs a module that is loaded, built in or there to be loaded.
func kernelModule(name string) need {
	return func(context.Context, *harness.Kluster) string {
		if _, err := os.Stat("/sys/module/" + name); err == nil {
			return ""
		}
		release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
		for _, list := range []string{"modules.builtin", "modules.dep"} {
			b, err := os.ReadFile(filepath.Join("/lib/modules", strings.TrimSpace(string(release)), list))
			if err == nil && bytes.Contains(b, []byte("/"+name+".ko")) {
				return ""
			}
		}
		return "the kernel has no module " + name
	}
}

// engineSocket needs the engine's socket at the path that a file mounts.
func engineSocket(path string) need {
	return func(context.Context, *harness.Kluster) string {
		if info, err := os.Stat(path); err != nil || info.Mode()&os.ModeSocket == 0 {
			return path + " is no socket on the host"
		}
		return ""
	}
}

// folder makes a folder; it goes when the spec ends, unless it was there.
func folder(path string) need {
	return func(context.Context, *harness.Kluster) string {
		err := os.Mkdir(path, 0o755)
		if errors.Is(err, os.ErrExist) {
			return ""
		}
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.Remove, path)
		return ""
	}
}

// makes tells of a folder that the engine makes for a mount, below one of the
// spec's own: it goes when the spec ends, unless it was there.
func makes(path string) need {
	return func(context.Context, *harness.Kluster) string {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			DeferCleanup(os.Remove, path)
		}
		return ""
	}
}

// nodeImage needs a node image of a version: to build one takes minutes.
func nodeImage(version string) need {
	return func(ctx context.Context, k *harness.Kluster) string {
		var images []struct{ Manifest struct{ Kubernetes string } }
		k.Must(ctx, "get", "images", "-o", "json").Decode(&images)
		for _, i := range images {
			if i.Manifest.Kubernetes == version {
				return ""
			}
		}
		return fmt.Sprintf("there is no node image of %s (kluster build node-image --kubernetes-version %s)", version, version)
	}
}
