package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/fault"
)

// dir is where a node keeps what it knows of its faults.
const dir = "/run/kluster/faults"

func (m *Machine) path(p string) string { return filepath.Join("/", m.Root, p) }

func (m *Machine) file(id string) string { return m.path(filepath.Join(dir, id+".json")) }

// locked keeps others from starting and undoing faults meanwhile.
func (m *Machine) locked(f func() error) error {
	if err := os.MkdirAll(m.path(dir), 0o700); err != nil {
		return fmt.Errorf("making the folder of faults: %w", err)
	}
	lock, err := os.OpenFile(m.path(dir+"/lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("locking the faults of this node: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("locking the faults of this node: %w", err)
	}
	return f()
}

// record writes down what is about to be done.
func (m *Machine) record(o fault.Order) error {
	text, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encoding fault %s: %w", o.ID, err)
	}
	temp := m.file(o.ID) + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return fmt.Errorf("recording fault %s: %w", o.ID, err)
	}
	if err := os.Rename(temp, m.file(o.ID)); err != nil {
		return fmt.Errorf("recording fault %s: %w", o.ID, err)
	}
	return nil
}

// read gives the record of a fault.
func (m *Machine) read(id string) (o fault.Order, found bool, err error) {
	text, err := os.ReadFile(m.file(id))
	if errors.Is(err, os.ErrNotExist) {
		return o, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return o, false, fmt.Errorf("reading the record of fault %s: %w", id, err)
	}
	return o, true, nil
}

func (m *Machine) forget(id string) error {
	if err := os.Remove(m.file(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the record of fault %s: %w", id, err)
	}
	return nil
}

// List gives the faults that this node has.
func (m *Machine) List() ([]fault.Order, error) {
	entries, err := os.ReadDir(m.path(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listing the faults of this node: %w", err)
	}
	var all []fault.Order
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		o, found, err := m.read(id)
		if err != nil {
			return nil, err
		}
		if found {
			all = append(all, o)
		}
	}
	return all, nil
}

func trimmed(s string) string { return strings.TrimSpace(s) }
