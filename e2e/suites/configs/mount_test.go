package configs_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// mountTable is what the kernel says of the mounts that a process sees.
const mountTable = "/proc/self/mountinfo"

// sharedFolder makes a folder on a mount that passes on what is mounted below
// it. Where the host's own mount is private, root makes the folder a shared one
// for as long as the spec runs.
func sharedFolder(path string) need {
	return func(ctx context.Context, k *harness.Kluster) string {
		if why := folder(path)(ctx, k); why != "" || peers(path) != "" {
			return why
		}
		if os.Geteuid() != 0 {
			return path + " lies on a private mount of the host, and only root can make it a shared one"
		}
		if err := syscall.Mount(path, path, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return fmt.Sprintf("%s cannot be mounted on itself: %v", path, err)
		}
		DeferCleanup(syscall.Unmount, path, 0)
		if err := syscall.Mount("", path, "", syscall.MS_SHARED, ""); err != nil {
			return fmt.Sprintf("the mount on %s cannot be made a shared one: %v", path, err)
		}
		return ""
	}
}

// peers is the number of the group of mounts that the host's mount with path on
// it shares changes with; "" for a private one.
func peers(path string) string {
	GinkgoHelper()
	text, err := os.ReadFile(mountTable)
	Expect(err).NotTo(HaveOccurred())
	for _, tag := range propagation(string(text), path) {
		if group, ok := strings.CutPrefix(tag, "shared:"); ok {
			return group
		}
	}
	return ""
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

// propagates checks how a mount in a node is tied to the host's of the folder
// that it shows: "master" gets what is mounted there, "shared" gives too.
func propagates(node, inNode, onHost, tie string) check {
	return check{fmt.Sprintf("%s in %s has %s of the host as %s", inNode, node, onHost, tie), func(ctx SpecContext, c *made) {
		text := c.MustExec(ctx, c.node(node), "cat", mountTable)
		Expect(propagation(text, inNode)).To(ContainElement(tie+":"+peers(onHost)), text)
	}}
}
