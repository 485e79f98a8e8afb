// Package resumes is a suite that does not come to its end when it is run for the
// first time.
package resumes

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"

	"github.com/kluster-project/kluster/internal/wait"
)

func TestResumes(t *testing.T) { ginkgo.RunSpecs(t, "a suite that is cut off") }

var _ = ginkgo.Describe("cut off", func() {
	for _, name := range []string{"a", "b", "c"} {
		ginkgo.It("passes: "+name, func() {})
	}
	ginkgo.It("waits at first", func(ctx ginkgo.SpecContext) {
		f, err := os.OpenFile(os.Getenv("WAITING"), os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return
		}
		f.Close()
		ginkgo.DeferCleanup(func() {
			for ctx := context.Background(); os.Getenv("CLEAN_WHEN") != "" && wait.For(ctx, 10*time.Millisecond); {
				if _, err := os.Stat(os.Getenv("CLEAN_WHEN")); err == nil {
					return
				}
			}
		})
		wait.For(ctx, time.Minute)
	})
})
