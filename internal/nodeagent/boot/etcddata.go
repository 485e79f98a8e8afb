package boot

import (
	"context"

	"github.com/kluster-project/kluster/internal/nodeagent/etcddisk"
)

func (m *Machine) etcdDisk() etcddisk.Disk {
	return etcddisk.Disk{Root: m.Root, Output: m.Kernel.Output}
}

// hasEtcdElsewhere says whether a fault has left etcd's data in another place.
func (m *Machine) hasEtcdElsewhere() bool { return m.etcdDisk().Given() }

func takeEtcdBack(ctx context.Context, m *Machine) error { return m.etcdDisk().TakeBack(ctx) }
