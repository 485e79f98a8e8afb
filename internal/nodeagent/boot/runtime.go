package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodeagent/store"
)

// configureRuntime writes the container runtime's configuration, and makes its units
// those that systemd starts.
func configureRuntime(ctx context.Context, m *Machine) error {
	runtime, err := cri.Get(m.Node.Runtime)
	if err != nil {
		return err
	}
	settings, err := m.runtimeSettings(ctx, runtime)
	if err != nil {
		return err
	}
	files, err := runtime.Configure(settings)
	if err != nil {
		return fmt.Errorf("rendering the configuration of %s: %w", runtime.Name, err)
	}
	for _, f := range files {
		if err := m.write(f.Path, string(f.Data), os.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	if err := m.tellMirrors(runtime); err != nil {
		return err
	}
	return m.enableUnits(runtime)
}

func (m *Machine) runtimeSettings(ctx context.Context, runtime cri.Runtime) (cri.Settings, error) {
	settings := cri.Settings{
		CgroupVersion: m.cgroupVersion(),
		PauseImage:    m.Node.PauseImage,
		RestrictOOM:   m.restricted(),
		NoHugetlb:     !m.hasHugetlb(),
		LacksCaps:     m.lacksCapabilities(),
		Snapshotter:   m.snapshotter(runtime.StateDir),
	}
	if runtime.TakesPatches {
		settings.Patches, settings.JSONPatches = m.Node.RuntimePatches, m.Node.RuntimeJSONPatches
	}
	var err error
	if settings.OCI, err = m.ociRuntimes(); err != nil {
		return settings, err
	}
	if settings.Store, err = m.storeInPlace(runtime); err != nil {
		return settings, err
	}
	if m.showsProduct() {
		settings.Hook = productHook
		settings.BaseSpec, err = m.baseSpec(ctx, runtime.DefaultSpec)
	}
	return settings, err
}

// ociRuntimes are those whose programs the node has, the one it was told to use
// first.
func (m *Machine) ociRuntimes() ([]cri.OCI, error) {
	first, err := cri.GetOCI(m.Node.OCIRuntime)
	if err != nil {
		return nil, err
	}
	if m.Node.OCIRuntime != "" && !m.exists(first.Program) {
		return nil, fmt.Errorf("this node image has no %s (%s)", first.Name, first.Program)
	}
	all := []cri.OCI{first}
	for _, o := range cri.AllOCI() {
		if o != first && m.exists(o.Program) {
			all = append(all, o)
		}
	}
	return all, nil
}

// storeInPlace is the folder of the image's preloaded images, where the runtime
// reads them there. On a FUSE file system they are copied; see package store.
func (m *Machine) storeInPlace(runtime cri.Runtime) (string, error) {
	dir := store.Dir(runtime)
	if !runtime.Store.InPlace || !m.exists(dir) {
		return "", nil
	}
	kind, err := m.Kernel.FilesystemType(m.path(dir))
	if err != nil || kind == unix.FUSE_SUPER_MAGIC {
		return "", err
	}
	return dir, nil
}

// hasHugetlb says whether there is a cgroup controller of huge pages.
func (m *Machine) hasHugetlb() bool {
	if controllers, err := os.ReadFile(m.path(cgroupDir + "/cgroup.controllers")); err == nil {
		return slices.Contains(strings.Fields(string(controllers)), "hugetlb")
	}
	return m.exists(cgroupDir + "/hugetlb/cgroup.procs")
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
