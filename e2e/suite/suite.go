// Package suite holds the source of kluster's own main for Kubernetes' e2e test
// packages. It runs the same specs as upstream's e2e.test, unchanged, and
// besides tells the runner about each spec as it begins, fails and ends
// (package event), and starts the longest specs first.
//
// It is compiled with "go test -c" in a module graph that holds k8s.io/kubernetes.
// kluster's own does not, so the go tool is kept from the folder by its name.
package suite

import (
	"embed"
	"path"

	"golang.org/x/mod/semver"
)

// TimingsEnv is the environment variable by which a suite learns the path of a
// JSON object, spec -> seconds. The longest specs start first.
const TimingsEnv = "KLUSTER_E2E_TIMINGS"

// folder is where the source lies.
const folder = "_kubernetes"

//go:embed _kubernetes/*.go
var files embed.FS

// since says which files only later versions can have.
var since = map[string]string{
	"invariants_test.go": "v1.35.0",
	"order_test.go":      "v1.35.0", // its ginkgo knows of priorities
	"logcheck_test.go":   "v1.36.0",
}

// SourceFor is the source of the main for a version of Kubernetes ("v1.36.3"), by
// file name: one package of test files.
func SourceFor(kubernetes string) map[string][]byte {
	source := map[string][]byte{}
	entries, err := files.ReadDir(folder)
	for _, e := range entries {
		if first, some := since[e.Name()]; some && semver.Compare(kubernetes, first) < 0 {
			continue
		}
		if err == nil {
			source[e.Name()], err = files.ReadFile(path.Join(folder, e.Name()))
		}
	}
	if err != nil {
		panic(err) // the files are part of the program
	}
	return source
}
