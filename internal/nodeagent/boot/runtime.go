package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kluster-project/kluster/internal/cri"
)

// configureRuntime writes the container runtime's configuration.
func configureRuntime(ctx context.Context, m *Machine) error {
	runtime, err := cri.Get(m.Node.Runtime)
	if err != nil {
		return err
	}
	settings := cri.Settings{
		CgroupVersion: m.cgroupVersion(),
		PauseImage:    m.Node.PauseImage,
		RestrictOOM:   m.restricted(),
		Snapshotter:   m.snapshotter(runtime.StateDir),
		Patches:       m.Node.RuntimePatches,
		JSONPatches:   m.Node.RuntimeJSONPatches,
	}
	if settings.BaseSpec, err = m.baseSpec(ctx); err != nil {
		return err
	}
	text, err := runtime.Render(settings)
	if err != nil {
		return fmt.Errorf("rendering the configuration of %s: %w", runtime.Name, err)
	}
	return m.write(runtime.ConfigPath, string(text), 0o644)
}

// fuseOverlay is the snapshotter's program; images need not have it.
const fuseOverlay = "/usr/local/bin/containerd-fuse-overlayfs-grpc"

// snapshotter picks how container file systems are stacked: with overlayfs
// where the kernel can do that on the file system of dir, which it is made to
// show.
func (m *Machine) snapshotter(dir string) string {
	err := m.tryOverlay(dir)
	if err == nil {
		return "overlayfs"
	}
	m.Log.Info("overlayfs does not work here", "folder", dir, "error", err)
	if m.exists(fuseOverlay) && m.exists("/dev/fuse") {
		return "fuse-overlayfs"
	}
	return "native"
}

// debianOverlay exists on kernels whose overlayfs can be mounted in a user
// namespace by a patch of Debian's that is not stable.
const debianOverlay = "/sys/module/overlay/parameters/permit_mounts_in_userns"

func (m *Machine) tryOverlay(dir string) error {
	if m.inUserNamespace() && m.exists(debianOverlay) {
		return errors.New("this kernel's overlayfs is not stable in a user namespace")
	}
	if err := os.MkdirAll(m.path(dir), 0o711); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	top, err := os.MkdirTemp(m.path(dir), ".overlay-test-")
	if err != nil {
		return fmt.Errorf("making a folder to try overlayfs in: %w", err)
	}
	defer os.RemoveAll(top)
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(top, name), 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", top)
	merged := filepath.Join(top, "merged")
	if err := m.Kernel.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return err
	}
	return m.Kernel.Unmount(merged)
}
