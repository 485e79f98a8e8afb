// Package pulls_test looks at what nodes pull, from where, and as whom, on every
// container runtime: mirrors, private authorities, credentials of this machine's user,
// and a proxy between the nodes and the world.
package pulls_test

import (
	"testing"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestPulls(t *testing.T) { harness.RunSuite(t, "kluster: where images come from") }

func init() { harness.GatherOnFailure() }
