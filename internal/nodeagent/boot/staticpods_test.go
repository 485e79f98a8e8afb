package boot

import (
	"os"
	"testing"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestManifestsFolder(t *testing.T) {
	for role, want := range map[nodespec.Role]bool{nodespec.RoleControlPlane: true, nodespec.RoleWorker: false} {
		m, _ := newMachine(t, dockerV1)
		m.Node.Role = role
		steps := []Step{}
		for _, s := range Steps {
			if s.Name == "static-pods" {
				steps = append(steps, s)
			}
		}
		for range 2 { // every start of the node does it again
			if err := Run(t.Context(), m, steps); err != nil {
				t.Fatal(err)
			}
		}
		info, err := os.Stat(m.path(manifestsDir))
		if got := err == nil; got != want {
			t.Errorf("%s: folder is there: %v", role, got)
		} else if got && info.Mode().Perm() != 0o700 {
			t.Errorf("mode %v", info.Mode())
		}
	}
}
