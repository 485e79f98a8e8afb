package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Case is a shape of cluster to measure.
type Case struct {
	// Name is what -only takes, "1+2".
	Name          string `json:"name"`
	Title         string `json:"title"`
	ControlPlanes int    `json:"controlPlanes"`
	Workers       int    `json:"workers"`
}

// Nodes is how many nodes the cluster has.
func (c Case) Nodes() int { return c.ControlPlanes + c.Workers }

// cluster is the name of the cluster that a tool makes for the case.
func (c Case) cluster(tool string) string {
	return Prefix + tool + "-" + strings.ReplaceAll(c.Name, "+", "-")
}

// Prefix starts the names of all clusters that a bench makes.
const Prefix = "bench-"

// floorName is the floor's in -only.
const floorName = "floor"

// Cases are all shapes that are measured.
var Cases = []Case{
	{Name: "1", Title: "1 node", ControlPlanes: 1},
	{Name: "1+2", Title: "1 control plane, 2 workers", ControlPlanes: 1, Workers: 2},
	{Name: "3", Title: "3 control planes", ControlPlanes: 3},
	{Name: "3+3", Title: "3 control planes, 3 workers", ControlPlanes: 3, Workers: 3},
}

// ParseOnly reads a list like "floor,1,3+3"; the floor is always measured, so
// that naming it alone is how to measure no cluster. "" is everything.
func ParseOnly(list string) ([]Case, error) {
	if list == "" {
		return Cases, nil
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		known := func(c Case) bool { return c.Name == name }
		if name != floorName && !slices.ContainsFunc(Cases, known) {
			return nil, fmt.Errorf("%q is none of %s", name, strings.Join(caseNames(), ", "))
		}
		wanted[name] = true
	}
	var picked []Case
	for _, c := range Cases {
		if wanted[c.Name] {
			picked = append(picked, c)
		}
	}
	return picked, nil
}

func caseNames() []string {
	names := []string{floorName}
	for _, c := range Cases {
		names = append(names, c.Name)
	}
	return names
}
