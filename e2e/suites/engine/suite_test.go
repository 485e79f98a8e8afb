// Package engine_test has engines of its own, which it ends, kills and starts under a
// cluster and under kluster, and whose disks it fills.
package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestEngine(t *testing.T) { harness.RunSuite(t, "kluster: the engine under it") }

const (
	// loadTimeout bounds the making of a room, its node image included.
	loadTimeout = 10 * time.Minute
	// soon is in what time a cluster must be back.
	soon = time.Minute
	// recovery is how long it is waited for, so that more than "not soon" is told.
	recovery = 3 * time.Minute
)

// kluster is the one under test as it works in a room, with this machine's cache.
func kluster(r *harness.Room) *harness.Kluster {
	GinkgoHelper()
	bin, err := harness.Binary()
	Expect(err).NotTo(HaveOccurred())
	cache := os.Getenv("KLUSTER_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		Expect(err).NotTo(HaveOccurred())
		cache = filepath.Join(dir, "kluster")
	}
	return r.Kluster(bin, "HOME="+os.Getenv("HOME"), "PATH="+os.Getenv("PATH"), "KLUSTER_CACHE="+cache)
}

// explain has what explains a failed spec collected, while the cluster is there.
func explain(k *harness.Kluster, r *harness.Room, name string) {
	if !CurrentSpecReport().Failed() {
		return
	}
	dir, err := os.MkdirTemp("", "kluster-evidence-")
	if err != nil {
		GinkgoWriter.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the spec's has ended
	defer cancel()
	GinkgoWriter.Println(k.Run(ctx, "export", "logs", filepath.Join(dir, "logs"), "--cluster", name), "\n", r.Log())
}

// seconds are times that something took.
type seconds []float64

// String gives the least, the median and the most.
func (s seconds) String() string {
	sorted := slices.Sorted(slices.Values(s))
	return fmt.Sprintf("%d times: %.1f to %.1f s, median %.1f s", len(s), sorted[0], sorted[len(sorted)-1], sorted[len(sorted)/2])
}

// report prints measured times and keeps them in the report.
func report(what string, took seconds) {
	AddReportEntry(what, took.String())
	fmt.Fprintf(GinkgoWriter, "%s: %s: %s\n", what, took, strings.Trim(fmt.Sprintf("%.1f", []float64(took)), "[]"))
}
