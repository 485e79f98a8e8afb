package nodeimage

import (
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// rootFiles are the files kluster adds to a node. Those below bin folders are
// programs.
//
//go:embed all:rootfs
var rootFiles embed.FS

// masked are units of the base system that do nothing useful in a container,
// or harm the host.
var masked = []string{
	"apt-daily.service", "apt-daily.timer", "apt-daily-upgrade.service", "apt-daily-upgrade.timer", "console-getty.service",
	"conntrackd.service", "dev-hugepages.mount", "dev-mqueue.mount", "dpkg-db-backup.timer", "dpkg-db-backup.service",
	"e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "getty.target", "getty@.service", "haproxy.service",
	"kmod-static-nodes.service", "ldconfig.service", "modprobe@.service", "nftables.service", "proc-sys-fs-binfmt_misc.automount",
	"proc-sys-fs-binfmt_misc.mount", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount",
	"sys-kernel-tracing.mount", "systemd-binfmt.service", "systemd-firstboot.service", "systemd-hwdb-update.service",
	"systemd-journal-catalog-update.service", "systemd-journal-flush.service", "systemd-logind.service", "systemd-machine-id-commit.service",
	"systemd-modules-load.service", "systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service",
	"systemd-network-generator.service", "systemd-pstore.service", "systemd-random-seed.service", "systemd-remount-fs.service",
	"systemd-resolved.service", "systemd-rfkill.service", "systemd-rfkill.socket", "systemd-sysusers.service", "systemd-timesyncd.service",
	"systemd-udev-settle.service", "systemd-udev-trigger.service", "systemd-udevd.service", "systemd-udevd-control.socket",
	"systemd-udevd-kernel.socket", "systemd-update-done.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
	"systemd-tmpfiles-clean.timer", "systemd-initctl.socket", "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
	"systemd-oomd.service", "systemd-vconsole-setup.service", "systemd-boot-system-token.service", "wpa_supplicant.service",
}

// enabled are kluster's units that start with a node. Those of its container runtime
// are enabled when it boots.
var enabled = []string{"kubelet.service", "kluster-api-proxy.service", "kluster-booted.service", "kluster-bootstrap.service", "kluster-network.service"}

// rootLinks are further links of a node.
var rootLinks = map[string]string{
	"opt/cni/bin/kluster-ipam":               nodespec.NodeBinary,
	"usr/local/sbin/kluster-oci":             nodespec.NodeBinary,
	"usr/local/sbin/kluster-oci-crun":        nodespec.NodeBinary,
	"etc/systemd/system/default.target":      "/usr/lib/systemd/system/multi-user.target",
	"etc/mtab":                               "../proc/self/mounts",
	"etc/systemd/system/ctrl-alt-del.target": "/dev/null",
	"etc/systemd/system/rescue.target":       "/dev/null",
	"etc/systemd/system/emergency.target":    "/dev/null",
}

// rootEntry is a file or link of the rootfs layer.
type rootEntry struct {
	Name, Text, Link string
	Mode             int64
}

// rootEntries lists what the rootfs layer holds, sorted.
func rootEntries() ([]rootEntry, error) {
	var out []rootEntry
	err := fs.WalkDir(rootFiles, "rootfs", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := rootFiles.ReadFile(name)
		mode := int64(0o644)
		if strings.HasSuffix(path.Dir(name), "bin") {
			mode = 0o755
		}
		out = append(out, rootEntry{Name: strings.TrimPrefix(name, "rootfs/"), Text: string(data), Mode: mode})
		return err
	})
	for _, u := range masked {
		out = append(out, rootEntry{Name: "etc/systemd/system/" + u, Link: "/dev/null"})
	}
	for _, u := range enabled {
		out = append(out, rootEntry{Name: "etc/systemd/system/multi-user.target.wants/" + u, Link: "/usr/lib/systemd/system/" + u})
	}
	for name, target := range rootLinks {
		out = append(out, rootEntry{Name: name, Link: target})
	}
	slices.SortFunc(out, func(a, b rootEntry) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// rootDirs are empty folders of a node, besides those of container runtimes.
var rootDirs = []string{
	"etc/cni/net.d", "etc/kluster", "etc/kubernetes/manifests", "var/lib/kubelet", "var/lib/etcd",
	"var/log/containers", "var/log/pods", "var/local-path-provisioner", "usr/libexec/kubernetes/kubelet-plugins/volume/exec",
}

// allDirs are all empty folders of a node, whatever container runtimes it has.
func allDirs() []string { return slices.Concat(rootDirs, cri.Volumes(cri.Names()...)) }

func rootfsDigest() (string, error) {
	entries, err := rootEntries()
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(struct {
		Entries []rootEntry
		Dirs    []string
	}{entries, allDirs()})
	return digestOf(data), err
}

func (b *builder) rootfsLayer(ctx context.Context) (*fileLayer, error) {
	dir, err := b.step(ctx, "layer-rootfs", []string{b.r.RootFS}, func(dir string) error {
		entries, err := rootEntries()
		if err != nil {
			return err
		}
		return writeLayer(dir, func(w *layerWriter) error { return writeEntries(w, entries) })
	})
	if err != nil {
		return nil, err
	}
	return openLayer(dir)
}

func writeEntries(w *layerWriter, entries []rootEntry) error {
	for _, d := range allDirs() {
		if err := w.dir(d, 0o755); err != nil {
			return err
		}
	}
	for _, e := range entries {
		put := func() error { return w.text(e.Name, e.Mode, e.Text) }
		if e.Link != "" {
			put = func() error { return w.link(e.Name, e.Link) }
		}
		if err := put(); err != nil {
			return err
		}
	}
	return nil
}
