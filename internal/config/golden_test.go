package config

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/internal/golden"
)

// testOptions are a world that is the same on every machine.
func testOptions() Options {
	return Options{
		KubernetesVersions: []string{"v1.36.3", "v1.35.4", "v1.34.4", "v1.33.13"},
		Runtimes:           []string{"containerd", "cri-dockerd", "cri-o"},
		OCIRuntimes:        []string{"runc", "crun"},
		KernelHasIPVS:      true,
		PathExists:         func(string) bool { return true },
		WorkDir:            "/home/me/work",
	}
}

// TestKindFiles resolves kind configuration files and compares with the
// resolved form beside each.
func TestKindFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/kind/*.yaml")
	if err != nil || len(files) < 12 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file, nil, Flags{}, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, strings.TrimSuffix(file, ".yaml")+".golden.json", c)
		})
	}
}

func compareGolden(t *testing.T, file string, c *Cluster) {
	t.Helper()
	got, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, file, string(got)+"\n")
}
