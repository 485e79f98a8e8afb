// Package offline_test takes a bundle to a machine without a network: a second engine
// in a network namespace that leads nowhere, with an empty cache and nothing in PATH.
package offline_test

import (
	"testing"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestOffline(t *testing.T) { harness.RunSuite(t, "kluster: bundles") }
