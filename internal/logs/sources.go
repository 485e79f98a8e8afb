package logs

import (
	"slices"
	"strconv"
	"time"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/journal"
	"github.com/kluster-project/kluster/internal/kubeadm"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// The most bytes of a file.
const (
	mostOfJournal = 16 << 20
	mostOfLog     = 2 << 20 // of a container
	mostOfFile    = 2 << 20
	mostOfAudit   = 8 << 20
)

// Names of files that are read again for the summary.
const (
	summaryFile    = "summary.txt"
	consoleFile    = "console.log"
	kubeletFile    = "kubelet.log"
	runtimeFile    = "runtime.log"
	kernelFile     = "kernel.log"
	statesFile     = "unit-states.txt"
	containersFile = "containers.json"
	disksFile      = "disks.txt"
	auditFile      = "audit.log"
)

// source is one file of evidence about a running node and the command that prints it.
type source struct {
	file string
	args []string
	most int
	// read, if not nil, looks for causes in what is in the file.
	read func(n *nodeExport, text []byte)
}

// kernelScript prints which processes of the machine the host's kernel has killed for
// lack of memory: those in a cgroup that has the machine's ID, the script's argument, in
// its name. What the kernel says of others is not ours to give away.
const kernelScript = `dmesg --time-format=iso 2>/dev/null | grep oom-kill: | grep -F "$1" | tail -n 1000; true`

// auditScript prints the end of a control plane's audit log, the script's argument: at
// most so many bytes as its second one says. Other nodes have none.
const auditScript = `[ ! -f "$1" ] || tail -c "$2" "$1"`

// sources are the files of a running node, the most telling first: where there is no
// room for all, the last ones lose.
func sources(id string, runtime cri.Runtime, since time.Time) []source {
	units := func(names ...string) []string { return journal.Query{Units: names, Since: since}.Args() }
	states := append([]string{"systemctl", "show", "--property=" + unitProperties}, watchedUnits(runtime)...)
	return []source{
		{statesFile, states, mostOfFile, (*nodeExport).readStates},
		{kubeletFile, units(cri.KubeletUnit), mostOfJournal, (*nodeExport).readKubelet},
		{runtimeFile, units(runtime.LogUnits...), mostOfJournal, (*nodeExport).readRuntime},
		{kernelFile, []string{"sh", "-c", kernelScript, "sh", id}, mostOfFile, (*nodeExport).readKernel},
		{disksFile, []string{"df", "-P", "-k"}, mostOfFile, (*nodeExport).readDisks},
		{"units.txt", []string{"systemctl", "--no-pager", "--all", "--plain", "--type=service", "list-units"}, mostOfFile, nil},
		{"containers.txt", slices.Concat(runtime.Debug, []string{"ps", "--all"}), mostOfFile, nil},
		{"sandboxes.txt", slices.Concat(runtime.Debug, []string{"pods"}), mostOfFile, nil},
		{"images.txt", slices.Concat(runtime.Debug, []string{"images"}), mostOfFile, nil},
		{"processes.txt", []string{"ps", "-eo", "pid,ppid,stat,etime,rss,comm"}, mostOfFile, nil},
		{"memory.txt", []string{"cat", "/proc/meminfo", "/proc/pressure/memory", "/proc/pressure/io", "/proc/loadavg"}, mostOfFile, nil},
		{"addresses.txt", []string{"ip", "address"}, mostOfFile, nil},
		{"routes.txt", []string{"ip", "route", "show", "table", "all"}, mostOfFile, nil},
		{"boot-steps.jsonl", []string{"cat", nodespec.BootRecord}, mostOfFile, nil},
		{auditFile, []string{"sh", "-c", auditScript, "sh", kubeadm.AuditLog, strconv.Itoa(mostOfAudit)}, mostOfAudit, nil},
		{"journal.log", units(), mostOfJournal, nil},
	}
}

// watchedUnits are those that must run on a node.
func watchedUnits(runtime cri.Runtime) []string {
	return append([]string{cri.KubeletUnit}, runtime.Units...)
}

// config are the files and folders that say how a node is set up. None holds keys;
// what of them looks like one does not get into the bundle.
var config = []string{
	nodespec.NodeFile,
	nodespec.BootstrapFile,
	nodespec.BootstrapResult,
	kubeadm.ConfigFile,
	"/var/lib/kubelet/config.yaml",
	"/var/lib/kubelet/instance-config.yaml",
	"/var/lib/kubelet/kubeadm-flags.env",
	"/etc/default/kubelet",
	nodespec.KubeletDropIns,
	nodespec.KubeletConf,
	"/etc/kubernetes/manifests",
	"/etc/cni/net.d",
	"/etc/crictl.yaml",
}
