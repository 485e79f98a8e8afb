package logs

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// pattern is a line of a journal that names a cause.
type pattern struct {
	kind Kind
	// line matches it; its first group, if there is one, is what it is about, and
	// lines about the same thing are one finding.
	line *regexp.Regexp
	// hint is in every such line.
	hint string
	text string // "%s" is what it is about
	// asAPI: the API tells it better, where there is one.
	asAPI bool
}

var kubeletPatterns = []pattern{
	{KindOOM, regexp.MustCompile(`System OOM encountered.*?victim process:? ?"?([^",]*)`), "System OOM encountered", "the kernel killed %s of the node for lack of memory", false},
	{KindImagePull, regexp.MustCompile(`Failed to pull image.*?image="([^"]+)"`), "Failed to pull image", "image %s could not be pulled", true},
	{KindDiskPressure, regexp.MustCompile(`no space left on device`), "no space left on device", "the disk is full", false},
	{KindDiskPressure, regexp.MustCompile(`Eviction manager: attempting to reclaim.*?resourceName="?([a-z-]+)`), "attempting to reclaim", "the kubelet evicts pods for lack of %s", false},
}

var runtimePatterns = []pattern{
	{KindDiskPressure, regexp.MustCompile(`no space left on device`), "no space left on device", "the disk is full", false},
	{KindOOM, regexp.MustCompile(`Out of memory: Killed process \d+ \(([^)]*)\)`), "Out of memory", "the kernel killed %s for lack of memory", false},
}

// readKubelet and readRuntime look through journals.
func (n *nodeExport) readKubelet(text []byte) { n.findLines(kubeletFile, text, kubeletPatterns) }
func (n *nodeExport) readRuntime(text []byte) { n.findLines(runtimeFile, text, runtimePatterns) }

// findLines finds causes in the lines of a file, each once, with the last such line.
func (n *nodeExport) findLines(file string, text []byte, patterns []pattern) {
	for _, p := range patterns {
		if !bytes.Contains(text, []byte(p.hint)) {
			continue
		}
		found := map[string]*Cause{} // by what it is about
		var order []string
		for line := range bytes.Lines(text) {
			match := p.line.FindSubmatch(line)
			if match == nil {
				continue
			}
			about := ""
			if len(match) > 1 {
				about = string(match[1])
			}
			c := found[about]
			if c == nil {
				c = &Cause{Kind: p.kind, Object: about, Text: fill(p.text, about), File: n.file(file), asAPI: p.asAPI}
				found[about] = c
				order = append(order, about)
			}
			c.Times++
			c.Line = clip(strings.TrimSpace(string(line)), 300)
		}
		for _, about := range order {
			n.find(*found[about])
		}
	}
}

func fill(text, about string) string {
	if strings.Contains(text, "%s") {
		return fmt.Sprintf(text, about)
	}
	return text
}

// oomKill is the kernel's line that says in whose cgroup a process was killed, which
// holds the machine's ID.
var oomKill = regexp.MustCompile(`oom-kill:.*task_memcg=([^,]*).*task=([^,]*)`)

// readKernel finds those kills of the kernel that were in this machine; the log is that
// of the host.
func (n *nodeExport) readKernel(text []byte) {
	for line := range bytes.Lines(text) {
		match := oomKill.FindSubmatch(line)
		if match == nil || !bytes.Contains(match[1], []byte(n.ID)) {
			continue
		}
		task := string(match[2])
		n.find(Cause{
			Kind: KindOOM, Object: task, Text: fmt.Sprintf("the kernel killed process %s for lack of memory", task),
			Line: clip(strings.TrimSpace(string(line)), 300), File: n.file(kernelFile), kernel: true,
		})
	}
}

// fullDisk is how full, in percent, a file system of a node is when it is a finding.
const fullDisk = 97

// watchedMounts are where a node writes.
var watchedMounts = []string{"/", "/var", "/var/log", "/var/lib/kubelet", "/var/lib/etcd", "/var/lib/containerd", "/var/lib/docker", "/var/lib/containers"}

// readDisks reads the table of df: file system, blocks, used, available, capacity,
// mount point.
func (n *nodeExport) readDisks(text []byte) {
	seen := map[string]bool{} // file systems that were found, which are mounted often
	for _, mount := range watchedMounts {
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) != 6 || f[5] != mount || seen[f[0]] {
				continue
			}
			used, err := strconv.Atoi(strings.TrimSuffix(f[4], "%"))
			if err != nil || used < fullDisk {
				continue
			}
			seen[f[0]] = true
			n.find(Cause{
				Kind: KindDiskPressure, Object: mount, Text: fmt.Sprintf("the disk of %s is full to %d%%", mount, used),
				Line: strings.TrimSpace(line), File: n.file(disksFile),
			})
		}
	}
}
