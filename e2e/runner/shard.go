package runner

import (
	"cmp"
	"slices"

	"github.com/kluster-project/kluster/e2e/timings"
)

// unit is a spec, or several that must run together.
type unit struct {
	specs   []Spec
	serial  bool
	seconds float64
}

// Shards spreads a plan over clusters, each of which runs so many specs at once
// (procs has one number for each cluster). The last gets all Serial specs, which
// mostly wait; the others go where they end first, the longest ones before
// shorter ones. A part without specs is possible: there are fewer than clusters.
func (p Plan) Shards(procs []int, seconds map[string]float64) []Plan {
	shards := make([]Plan, len(procs))
	load := make([]float64, len(procs))
	last := len(procs) - 1
	add := func(u unit, to int) {
		shards[to].Specs = append(shards[to].Specs, u.specs...)
		if u.serial {
			load[to] += u.seconds
		} else {
			load[to] += u.seconds / float64(max(1, procs[to]))
		}
	}
	units := p.units(seconds)
	for _, u := range units {
		if u.serial {
			add(u, last)
		}
	}
	for _, u := range units {
		if u.serial {
			continue
		}
		best := 0
		for i := range load {
			if load[i] < load[best] {
				best = i
			}
		}
		add(u, best)
	}
	for i := range shards {
		shards[i].Description = p.Description
	}
	return shards
}

// units are the plan's specs, the longest first.
func (p Plan) units(seconds map[string]float64) []unit {
	var units []unit
	groups := map[string]int{}
	for _, s := range p.Specs {
		took, known := seconds[s.Name]
		if !known {
			took = timings.Unknown
		}
		at, ok := groups[s.Group]
		if !ok || s.Group == "" {
			at = len(units)
			groups[s.Group] = at
			units = append(units, unit{})
		}
		u := &units[at]
		u.specs, u.serial, u.seconds = append(u.specs, s), u.serial || s.Serial, u.seconds+took
	}
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(b.seconds, a.seconds) })
	return units
}
