// Package kubernetes is a small suite with every kind of end. Its specs are
// picked by label; what they leave on disk lies in $SUITE_DIR.
package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
)

func TestSuite(t *testing.T) {
	ginkgo.RunSpecs(t, "a tiny suite")
}

// first says whether it is asked for the first time, over all processes.
func first(name string) bool {
	f, err := os.OpenFile(path(name), os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

func path(name string) string { return filepath.Join(os.Getenv("SUITE_DIR"), name) }

func note(name string) {
	if err := os.WriteFile(path(name), nil, 0o644); err != nil {
		ginkgo.Fail(err.Error())
	}
}

// until waits for a file.
func until(ctx ginkgo.SpecContext, name string) {
	for {
		if _, err := os.Stat(path(name)); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

var _ = ginkgo.BeforeSuite(func() {
	if os.Getenv("SUITE_BROKEN") != "" {
		ginkgo.Fail("no cluster here")
	}
})

var _ = ginkgo.Describe("tiny", func() {
	ginkgo.It("passes", ginkgo.Label("plain"), func() {})
	ginkgo.It("passes (too) [odd] a|b", ginkgo.Label("plain", "odd"), func() {})
	ginkgo.It("runs alone", ginkgo.Label("plain"), ginkgo.Serial, func() {})
	ginkgo.It("fails", ginkgo.Label("plain", "bad"), func() {
		ginkgo.GinkgoWriter.Println("what it wrote")
		ginkgo.Fail("one is not two")
	})
	ginkgo.It("panics", ginkgo.Label("plain", "bad"), func() { panic("at the disco") })
	ginkgo.It("skips itself", ginkgo.Label("plain"), func() { ginkgo.Skip("not on this host") })
	ginkgo.PIt("is pending", ginkgo.Label("plain"), func() {})
	ginkgo.It("fails at first", ginkgo.Label("flaky"), func() {
		if first("flaky") {
			ginkgo.Fail("not yet")
		}
	})
	ginkgo.It("fails at first and tries again itself", ginkgo.Label("stubborn"), ginkgo.FlakeAttempts(2), func() {
		if first("stubborn") {
			ginkgo.Fail("not yet")
		}
	})
	ginkgo.It("hangs", ginkgo.Label("hang"), func(ctx ginkgo.SpecContext) {
		ginkgo.DeferCleanup(func() { note("cleaned") })
		note("hanging")
		until(ctx, "never")
	})
	ginkgo.It("ignores everybody", ginkgo.Label("deaf"), ginkgo.GracePeriod(time.Hour), func(ginkgo.SpecContext) {
		note("hanging")
		select {}
	})
	ginkgo.It("is killed at first", ginkgo.Label("die"), func() {
		if first("die") {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	})
	ginkgo.It("is seen by the one that is killed", ginkgo.Label("die"), func() {})
	ginkgo.It("waits for an answer", ginkgo.Label("evidence"), func() {
		ginkgo.DeferCleanup(func() { note("cleaned") })
		ginkgo.Fail("look at me")
	})
	ginkgo.It("says very much", ginkgo.Label("much"), func() {
		ginkgo.GinkgoWriter.Println(strings.Repeat("ö\x01", 1<<20))
		ginkgo.Fail(strings.Repeat("ö\x01", 1<<20))
	})
	ginkgo.It("says where it is", ginkgo.Label("place"), func() {
		if err := os.WriteFile("here", nil, 0o644); err != nil {
			ginkgo.Fail(err.Error())
		}
	})
	ginkgo.Describe("in order", ginkgo.Ordered, ginkgo.Label("ordered"), func() {
		ginkgo.It("begins", func() { note("begun") })
		ginkgo.It("goes on", func() {
			if _, err := os.Stat(path("begun")); err != nil {
				ginkgo.Fail("not begun")
			}
			if first("ordered") {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		})
		ginkgo.AfterAll(func() { _ = os.Remove(path("begun")) })
	})
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		ginkgo.It("takes its time: "+name, ginkgo.Label("timed"), func() {})
	}
})
