package harness

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

// Enabled says whether the integration suites are to run.
func Enabled() bool { return os.Getenv("KLUSTER_INTEGRATION") == "1" }

// RunSuite runs the specs of the calling package, or skips with the reason. A
// suite that is asked for and cannot run (no engine, no binary) fails.
func RunSuite(t *testing.T, name string) {
	t.Helper()
	if !Enabled() {
		t.Skip("set KLUSTER_INTEGRATION=1 to run kluster's integration suites (they need a Docker engine)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := NewEngine(ctx); err != nil {
		t.Fatalf("KLUSTER_INTEGRATION=1 and no engine: %v", err)
	}
	if _, err := Binary(); err != nil {
		t.Fatalf("KLUSTER_INTEGRATION=1 and no kluster: %v", err)
	}
	gomega.RegisterFailHandler(ginkgo.Fail)
	gomega.SetDefaultEventuallyPollingInterval(250 * time.Millisecond)
	gomega.SetDefaultConsistentlyPollingInterval(500 * time.Millisecond)
	suite, reporter := ginkgo.GinkgoConfiguration()
	suite.Timeout = 2 * time.Hour // "go test -timeout" is the bound
	ginkgo.RunSpecs(t, name, suite, reporter)
}

// Binary is the path of the kluster under test.
func Binary() (string, error) {
	bin := os.Getenv("KLUSTER_BIN")
	if bin == "" {
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		bin = filepath.Join(root, "bin", "kluster")
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(bin); err != nil {
		return "", fmt.Errorf("%w (build it, or set KLUSTER_BIN)", err)
	}
	return bin, nil
}

// moduleRoot is the nearest folder above the working one that holds a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above the working folder")
		}
	}
}

// names are the cluster names this process knows of, for Evidence.
var names struct {
	sync.Mutex
	all []string
}

// Name is a fresh cluster name, "it-KIND-1a2b3c"; with KLUSTER_TEST_RUN the
// last part begins with that.
func Name(kind string) string {
	b := make([]byte, 3)
	rand.Read(b) // never fails
	return remember("it-" + kind + "-" + os.Getenv("KLUSTER_TEST_RUN") + hex.EncodeToString(b))
}

func remember(name string) string {
	names.Lock()
	defer names.Unlock()
	names.all = append(names.all, name)
	return name
}

func known() []string {
	names.Lock()
	defer names.Unlock()
	return append([]string(nil), names.all...)
}
