package config

import (
	"github.com/kluster-project/kluster/configs/v1alpha1"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// MaxNodes is the most nodes a cluster can have.
const MaxNodes = 32

// nodesFromFlags turns --nodes, or --control-planes and --workers, into nodes,
// when a file has none.
func (w *wish) nodesFromFlags(f Flags, p *problems) {
	given := givenCounts(f)
	switch {
	case len(given) == 0:
		if len(w.Nodes) == 0 {
			w.setCounts(1, 0)
		}
		return
	case len(w.Nodes) > 0:
		p.add(given[0], "leave out the flag, or the file's nodes", "the configuration file lists nodes too")
		return
	case f.Nodes != nil && len(given) > 1:
		p.add("--nodes", "leave out one of them", "cannot be given together with %s", given[1])
		return
	}
	if f.Nodes != nil {
		w.fromShorthand(*f.Nodes, p)
		return
	}
	w.fromCounts(f, p)
}

func givenCounts(f Flags) []string {
	var given []string
	for _, c := range []struct {
		flag  string
		value *int
	}{{"--nodes", f.Nodes}, {"--control-planes", f.ControlPlanes}, {"--workers", f.Workers}} {
		if c.value != nil {
			given = append(given, c.flag)
		}
	}
	return given
}

// fromShorthand makes one control plane of 1; one and a worker of 2; three and
// workers of 3 or more. The control planes take pods.
func (w *wish) fromShorthand(n int, p *problems) {
	if n < 1 || n > MaxNodes {
		p.add("--nodes", "", "must be from 1 to %d, not %d", MaxNodes, n)
		n = 1
	}
	w.shorthand = true
	switch n {
	case 1, 2:
		w.setCounts(1, n-1)
	default:
		w.setCounts(3, n-3)
	}
}

func (w *wish) fromCounts(f Flags, p *problems) {
	controlPlanes, workers := 1, 0
	if f.ControlPlanes != nil {
		controlPlanes = *f.ControlPlanes
		w.from.nodes = "--control-planes"
	}
	if f.Workers != nil {
		workers = *f.Workers
	}
	ok := true
	if controlPlanes < 1 || controlPlanes > MaxNodes {
		p.add("--control-planes", "", "must be from 1 to %d, not %d", MaxNodes, controlPlanes)
		ok = false
	}
	if workers < 0 || workers >= MaxNodes {
		p.add("--workers", "", "must be from 0 to %d, not %d", MaxNodes-1, workers)
		ok = false
	}
	if !ok {
		controlPlanes, workers = 1, 0
	}
	w.setCounts(controlPlanes, workers)
}

func (w *wish) setCounts(controlPlanes, workers int) {
	w.Nodes = []v1alpha1.Node{{Role: string(nodespec.RoleControlPlane), Count: &controlPlanes}}
	if workers > 0 {
		w.Nodes = append(w.Nodes, v1alpha1.Node{Role: string(nodespec.RoleWorker), Count: &workers})
	}
}
