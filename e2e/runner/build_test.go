package runner_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/kluster-project/kluster/e2e/runner"
)

var built string // a folder for programs

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		helper()
	}
	dir, err := os.MkdirTemp("", "runner-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// streaming is the tiny suite with the sources that make kluster's own main
// tell what happens; stock is the suite without.
var (
	streaming = sync.OnceValues(func() (string, error) { return compile("kluster.test", overlay) })
	stock     = sync.OnceValues(func() (string, error) { return compile("stock.test", nil) })
	ginkgoCLI = sync.OnceValues(func() (string, error) {
		path := filepath.Join(built, "ginkgo")
		return path, command("go", "build", "-o", path, "github.com/onsi/ginkgo/v2/ginkgo")
	})
)

// overlay puts sources of package suite beside the tiny suite's own.
var overlay = map[string]string{
	"events_test.go": "../suite/_kubernetes/events_test.go",
	"order_test.go":  "../suite/_kubernetes/order_test.go",
	"main_test.go":   "testdata/main_test.go",
}

func compile(name string, sources map[string]string) (string, error) {
	replace := map[string]string{}
	for file, source := range sources {
		at, err := filepath.Abs(filepath.Join("testdata/suite", file))
		if err != nil {
			return "", err
		}
		if replace[at], err = filepath.Abs(source); err != nil {
			return "", err
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(built, name)
	if err := os.WriteFile(path+".json", data, 0o644); err != nil {
		return "", err
	}
	return path, command("go", "test", "-c", "-overlay", path+".json", "-o", path, "./testdata/suite")
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil { //nolint:noctx // it is shared by tests
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}

// program is the tiny suite.
func program(t *testing.T, suite func() (string, error)) runner.Program {
	t.Helper()
	path, err := suite()
	if err != nil {
		t.Fatal(err)
	}
	cli, err := ginkgoCLI()
	if err != nil {
		t.Fatal(err)
	}
	return runner.Program{Path: path, Ginkgo: cli, Env: []string{"SUITE_DIR=" + t.TempDir()}}
}
