package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/cri"
)

// Pair is a container runtime and the OCI runtime that it starts containers with.
type Pair struct {
	Runtime string `json:"runtime"`
	OCI     string `json:"ociRuntime"`
}

func (p Pair) String() string { return p.Runtime + " with " + p.OCI }

// cluster is the name of the cluster that the pair is measured on.
func (p Pair) cluster() string { return Prefix + p.Runtime + "-" + p.OCI }

// everything, as a list of names, is all that there are; so is "".
const everything = "all"

// ParsePairs gives each container runtime of a list like "containerd,cri-o" with
// each OCI runtime of another.
func ParsePairs(runtimes, oci string) ([]Pair, error) {
	runtimeNames, err := pick("container runtimes", cri.Names(), runtimes)
	if err != nil {
		return nil, err
	}
	ociNames, err := pick("OCI runtimes", cri.OCINames(), oci)
	if err != nil {
		return nil, err
	}
	var pairs []Pair
	for _, r := range runtimeNames {
		for _, o := range ociNames {
			pairs = append(pairs, Pair{Runtime: r, OCI: o})
		}
	}
	return pairs, nil
}

// pick gives those of all names that the list has, each once.
func pick(what string, all []string, list string) ([]string, error) {
	if list == "" || list == everything {
		return all, nil
	}
	wanted := strings.Split(list, ",")
	for _, name := range wanted {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("%q is none of the %s %s", name, what, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !slices.Contains(wanted, name) }), nil
}

// Amounts are how much of each is put on a cluster whose container runtime is
// measured.
type Amounts struct {
	// Sequence is how many pods start one after the other.
	Sequence int `json:"sequence"`
	// Burst is how many pods start at once.
	Burst int `json:"burst"`
	// Idle is how many pods do nothing while memory is read.
	Idle int `json:"idle"`
	// ArchiveMB is what the layers of the imported image hold, in units of 10^6 bytes.
	ArchiveMB int `json:"archiveMB"`
}

// Check says which amount is too small.
func (a Amounts) Check() error {
	for _, amount := range []struct {
		name  string
		value int
	}{
		{"pods one after the other", a.Sequence},
		{"pods at once", a.Burst},
		{"idle pods", a.Idle},
		{"megabytes to import", a.ArchiveMB},
	} {
		if amount.value < 1 {
			return fmt.Errorf("%d %s: must be at least 1", amount.value, amount.name)
		}
	}
	return nil
}
