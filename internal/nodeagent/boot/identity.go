package boot

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Where a node keeps what it made up about itself, so that it is the same
// after a restart.
const (
	stateDir        = "/etc/kluster"
	machineIDFile   = stateDir + "/machine-id"
	productUUIDFile = stateDir + "/product_uuid"
	productNameFile = stateDir + "/product_name"
)

// ProductFiles says which files of sysfs are hidden behind which of the node's.
var ProductFiles = map[string]string{
	"/sys/class/dmi/id/product_name":           productNameFile,
	"/sys/class/dmi/id/product_uuid":           productUUIDFile,
	"/sys/devices/virtual/dmi/id/product_uuid": productUUIDFile,
}

// write makes a file with its folder, by rename, so that no reader ever sees
// half of it.
func (m *Machine) write(path, text string, mode os.FileMode) error {
	full := m.path(path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return fmt.Errorf("making the folder of %s: %w", path, err)
	}
	temp := full + ".new"
	if err := os.WriteFile(temp, []byte(text), mode); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Chmod(temp, mode); err != nil {
		return fmt.Errorf("setting the mode of %s: %w", path, err)
	}
	if err := os.Rename(temp, full); err != nil {
		return fmt.Errorf("putting %s in place: %w", path, err)
	}
	return nil
}

// once gives a file's text, made by create at the first call.
func (m *Machine) once(path string, create func() string) (string, error) {
	text, err := os.ReadFile(m.path(path))
	if err == nil && len(text) > 0 {
		return string(text), nil
	}
	if err != nil && !os.IsNotExist(err) {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	made := create()
	return made, m.write(path, made, 0o444)
}

// renewMachineID gives the node a machine-id of its own at its first start,
// and keeps it.
func renewMachineID(_ context.Context, m *Machine) error {
	id, err := m.once(machineIDFile, func() string { return hex.EncodeToString(randomUUID()) + "\n" })
	if err != nil {
		return err
	}
	return m.write("/etc/machine-id", id, 0o444)
}

// hideProduct puts a made-up product name and UUID over the host's.
func hideProduct(_ context.Context, m *Machine) error {
	if _, err := m.once(productNameFile, func() string { return "kluster\n" }); err != nil {
		return err
	}
	if _, err := m.once(productUUIDFile, func() string { return formatUUID(randomUUID()) + "\n" }); err != nil {
		return err
	}
	for target, source := range ProductFiles {
		if !m.exists(target) {
			continue
		}
		if err := m.bind(source, m.resolve(target), true); err != nil {
			return err
		}
	}
	return nil
}

// resolve follows links: the mount table knows only what they lead to.
func (m *Machine) resolve(path string) string {
	real, err := filepath.EvalSymlinks(m.path(path))
	if err != nil {
		return path
	}
	return m.rel(real)
}

func (m *Machine) exists(path string) bool {
	_, err := os.Stat(m.path(path))
	return err == nil
}

// randomUUID is a version 4 UUID.
func randomUUID() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

func formatUUID(id []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// provideKmsg stands the console in for a kernel log that was not given.
func provideKmsg(_ context.Context, m *Machine) error {
	if m.exists("/dev/kmsg") || !m.exists("/dev") {
		return nil
	}
	if err := os.Symlink("console", m.path("/dev/kmsg")); err != nil && !os.IsExist(err) {
		return fmt.Errorf("making /dev/kmsg: %w", err)
	}
	return nil
}

// forgetBoot takes the mark of the last boot away.
func forgetBoot(_ context.Context, m *Machine) error {
	if err := os.Remove(m.path(nodespec.BootedFile)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("removing the mark of the last boot: %w", err)
	}
	return nil
}
