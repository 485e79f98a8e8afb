// Package waits is a suite that is not done before it is interrupted.
package waits

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"

	"github.com/kluster-project/kluster/internal/wait"
)

func TestWaits(t *testing.T) { ginkgo.RunSpecs(t, "a suite that waits") }

// most is how long anything is waited for.
const most = 20 * time.Second

var _ = ginkgo.Describe("a suite", func() {
	ginkgo.It("waits for its end", func(ctx ginkgo.SpecContext) {
		ginkgo.DeferCleanup(func(ctx context.Context) { found(ctx, os.Getenv("CLEAN_WHEN")) })
		if err := os.WriteFile(os.Getenv("WAITING"), nil, 0o644); err != nil {
			ginkgo.Fail(err.Error())
		}
		wait.For(ctx, most)
	})
	ginkgo.It("comes after", func() {})
})

// found waits until there is a file, or is none to wait for.
func found(ctx context.Context, path string) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for path != "" && wait.For(ctx, 10*time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
}
