package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
)

// Limits below which a check is not OK.
const (
	gib = 1 << 30
	// A node image, its build cache and a cluster's own data fit into this.
	diskFail, diskWarn = 5 * gib, 20 * gib
	// Three control planes use 1.3 GiB when idle; pods come on top.
	memoryFail, memoryWarn = 2 * gib, 4 * gib
)

func (e *examination) reach(context.Context) finding {
	if e.err != nil {
		advice := strings.Join(failure.Hints(e.err), "; ")
		if advice == "" {
			advice = "install and start a container engine"
		}
		return finding{Fail, firstLine(e.err.Error()), advice}
	}
	return ok("%s, API %s", e.info.Engine, e.info.APIVersion)
}

func (e *examination) location(context.Context) finding {
	switch {
	case e.err != nil:
		return unknown
	case !e.info.Local:
		return finding{
			Fail, "another machine: " + e.info.Endpoint,
			"only an engine on this machine works: choose that one",
		}
	case e.info.Rootless:
		return finding{Warn, "this machine, rootless: " + e.info.Endpoint, "use an engine that runs as root if nodes do not start"}
	}
	return ok("this machine: %s", e.info.Endpoint)
}

func (e *examination) capabilities(context.Context) finding {
	switch {
	case e.err != nil:
		return unknown
	case len(e.info.MissingCaps) == 0:
		return ok("the engine has all")
	}
	// Nodes are made for this: it costs a little, and needs no act.
	return ok("all but %s, which nodes do without", strings.Join(e.info.MissingCaps, ", "))
}

func (e *examination) cgroups(context.Context) finding {
	if e.err != nil {
		return unknown
	}
	if e.info.CgroupVersion != 1 && e.info.CgroupVersion != 2 {
		return finding{Fail, fmt.Sprintf("version %d", e.info.CgroupVersion), "mount cgroups of version 1 or 2 on the host"}
	}
	return ok("version %d", e.info.CgroupVersion)
}

func (e *examination) storage(context.Context) finding {
	switch {
	case e.err != nil:
		return unknown
	case e.info.StorageDriver == "vfs":
		return finding{Warn, "vfs", "it copies every layer of every node: use one that overlays them"}
	}
	return ok("%s", e.info.StorageDriver)
}

func (e *examination) disk(context.Context) finding {
	if e.err != nil {
		return unknown
	}
	if e.info.DataFree == 0 {
		return finding{Warn, "free space below " + e.info.DataRoot + " is not known", fmt.Sprintf("see that %s are free there", size(diskWarn))}
	}
	f := atLeast(e.info.DataFree, diskFail, diskWarn, "make room there"+inParentheses(e.info.Prune)+", or use a larger disk")
	f.value += " free below " + e.info.DataRoot
	return f
}

func (e *examination) memory(context.Context) finding {
	if e.err != nil {
		return unknown
	}
	return atLeast(e.info.Memory, memoryFail, memoryWarn, "give the machine more memory, or make fewer nodes")
}

func (e *examination) cpus(context.Context) finding {
	switch {
	case e.err != nil:
		return unknown
	case e.info.CPUs < 2:
		return finding{Warn, fmt.Sprint(e.info.CPUs), "two or more make clusters start much faster"}
	}
	return ok("%d", e.info.CPUs)
}

func (e *examination) subnets(ctx context.Context) finding {
	if e.err != nil {
		return unknown
	}
	networks, err := e.engine.Networks(ctx, provider.Selector{})
	if err != nil {
		return finding{Fail, firstLine(err.Error()), "see that the engine can list its networks"}
	}
	var taken []netip.Prefix
	for _, n := range networks {
		taken = append(taken, n.Subnets...)
	}
	free, err := e.host.FreeSubnets(taken)
	if err != nil {
		return finding{Fail, firstLine(err.Error()), "see that the host's routes can be read: ip route"}
	}
	if len(free) == 0 {
		return finding{Fail, "none is free", "remove networks that nobody needs" + inParentheses(e.info.PruneNetworks)}
	}
	return ok("%d free, the next is %s", len(free), free[0])
}

// atLeast grades an amount of bytes.
func atLeast(got, fail, warn int64, advice string) finding {
	switch {
	case got < fail:
		return finding{Fail, size(got), fmt.Sprintf("%s (less than %s)", advice, size(fail))}
	case got < warn:
		return finding{Warn, size(got), fmt.Sprintf("%s (less than %s)", advice, size(warn))}
	}
	return ok("%s", size(got))
}

// inParentheses puts a command behind words; nothing if there is none.
func inParentheses(command string) string {
	if command == "" {
		return ""
	}
	return " (" + command + ")"
}

func size(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/gib) }

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
