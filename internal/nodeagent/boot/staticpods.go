package boot

import (
	"context"
	"fmt"
	"os"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// manifestsDir is where kubeadm puts static pods.
const manifestsDir = "/etc/kubernetes/manifests"

func (m *Machine) isControlPlane() bool { return m.Node.Role == nodespec.RoleControlPlane }

// makeManifestsFolder makes the folder with kubeadm's own mode; the kubelet may
// start before kubeadm.
func makeManifestsFolder(_ context.Context, m *Machine) error {
	if err := os.MkdirAll(m.path(manifestsDir), 0o700); err != nil {
		return fmt.Errorf("making the folder of static pods: %w", err)
	}
	return nil
}
