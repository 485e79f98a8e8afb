package cri

import (
	"fmt"
	"slices"
	"strings"
)

// OCI is a program that starts containers for a container runtime.
type OCI struct {
	// Name is what users call it, and Program its path in a node.
	Name, Program string
	// Shim is the path of the same with what a node cannot do left out, for
	// container runtimes that cannot be told.
	Shim string
	// Spec is the version of the OCI runtime specification that it takes a
	// container's configuration for, whatever that says; "" if it knows of newer
	// ones. It is always called by its Shim then.
	Spec string
}

var runc = OCI{Name: "runc", Program: "/usr/local/sbin/runc", Shim: "/usr/local/sbin/kluster-oci"}

// ociTable are the OCI runtimes, every container runtime's default first.
var ociTable = []OCI{
	runc,
	// Debian 12's crun refuses all but 1.0, which newer ones only add to.
	{Name: "crun", Program: "/usr/bin/crun", Shim: "/usr/local/sbin/kluster-oci-crun", Spec: "1.0.2"},
}

// AllOCI lists the OCI runtimes, the default first.
func AllOCI() []OCI { return slices.Clone(ociTable) }

// OCINames lists the names of the OCI runtimes, the default first.
func OCINames() []string {
	var names []string
	for _, o := range ociTable {
		names = append(names, o.Name)
	}
	return names
}

// GetOCI finds an OCI runtime by name; "" is the default.
func GetOCI(name string) (OCI, error) {
	if name == "" {
		return runc, nil
	}
	i := slices.IndexFunc(ociTable, func(o OCI) bool { return o.Name == name })
	if i < 0 {
		return OCI{}, fmt.Errorf("unknown OCI runtime %q (known: %s)", name, strings.Join(OCINames(), ", "))
	}
	return ociTable[i], nil
}

// allOCI are the node's OCI runtimes; one that was told of none has runc.
func (s Settings) allOCI() []OCI {
	if len(s.OCI) == 0 {
		return []OCI{runc}
	}
	return s.OCI
}

func (s Settings) defaultOCI() OCI { return s.allOCI()[0] }

// program is what a container runtime that cannot be told of the node's limits
// calls.
func (s Settings) program(o OCI) string {
	if s.restricted() {
		return o.Shim
	}
	return o.called()
}

// called is what a container runtime that can be told calls.
func (o OCI) called() string {
	if o.Spec != "" {
		return o.Shim
	}
	return o.Program
}
