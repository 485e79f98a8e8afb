// Package goapi_test is the suite that docs/go-api.md shows, which uses nothing but the
// public package.
package goapi_test

import (
	"os"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestGoAPI(t *testing.T) {
	bin, err := harness.Binary()
	if err == nil {
		t.Setenv("KLUSTER", bin)
	}
	harness.RunSuite(t, "kluster: public package")
}

// TestThePageShowsTheSuite sees that what the page shows is what runs.
func TestThePageShowsTheSuite(t *testing.T) {
	page, err := os.ReadFile("../../../docs/go-api.md")
	if err != nil {
		t.Fatal(err)
	}
	suite, err := os.ReadFile("shown_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+string(suite)+"```\n") {
		t.Error("docs/go-api.md does not show shown_test.go as it is")
	}
}
