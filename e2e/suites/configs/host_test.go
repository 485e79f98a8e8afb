package configs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
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

// makes tells of folders, the outer ones first, that the engine makes for a
// mount: they go when the spec ends, unless they were there.
func makes(paths ...string) need {
	return func(context.Context, *harness.Kluster) string {
		for _, path := range paths {
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				DeferCleanup(os.Remove, path)
			}
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

// sharedMount needs the mount that a host path lies on to send its changes on,
// as a peer ("shared:") or, where either will do, to get them ("master:").
func sharedMount(path string, kinds ...string) need {
	return func(context.Context, *harness.Kluster) string {
		text, err := os.ReadFile("/proc/self/mountinfo")
		Expect(err).NotTo(HaveOccurred())
		tags := propagation(string(text), path)
		for _, kind := range kinds {
			if slices.ContainsFunc(tags, func(tag string) bool { return strings.HasPrefix(tag, kind) }) {
				return ""
			}
		}
		return fmt.Sprintf("%s lies on a mount that is none of %v", path, kinds)
	}
}

// propagation is what a mountinfo file says of the mount that a path lies on:
// "shared:1", "master:2", or nothing for a private one.
func propagation(mountinfo, path string) []string {
	var tags []string
	longest := -1
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		end := slices.Index(fields, "-")
		if end < 6 || !below(path, fields[4]) || len(fields[4]) < longest {
			continue // of two mounts on one point the later one counts
		}
		longest, tags = len(fields[4]), fields[6:end]
	}
	return tags
}

func below(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}
