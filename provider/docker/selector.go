package docker

import (
	"github.com/docker/docker/api/types/filters"

	"github.com/kluster-project/kluster/provider"
)

// labelFilter asks an engine for the objects that match sel.
func labelFilter(sel provider.Selector) filters.Args {
	args := filters.NewArgs()
	for name, value := range sel {
		if value == "" {
			args.Add("label", name)
		} else {
			args.Add("label", name+"="+value)
		}
	}
	return args
}
