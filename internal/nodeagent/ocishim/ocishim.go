// Package ocishim is kluster-oci, an OCI runtime that asks of the kernel only
// what a node may have and leaves the rest to runc. Container runtimes that
// cannot be told (Docker Engine, CRI-O) run it in place of runc on hosts whose
// engine lacks a capability or a cgroup controller.
package ocishim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Limits is what this node cannot do.
type Limits struct {
	// NoSysResource: oom_score_adj cannot be lowered nor a limit raised.
	NoSysResource bool
	// NoHugetlb: there is no hugetlb controller.
	NoHugetlb bool
	// Spec is the version of the OCI specification that the real runtime insists
	// on; "" for none.
	Spec string
	// Capability says whether a container can have that one ("CAP_SYS_TIME"); nil
	// for all.
	Capability func(name string) bool
	// Rlimit gives this process' own hard limit by OCI name
	// ("RLIMIT_NOFILE"); false if the name is unknown.
	Rlimit func(name string) (uint64, bool)
}

// valueFlags are runc's global flags (and crun's) that take a value.
var valueFlags = []string{"--root", "--log", "--log-format", "--log-level", "--criu", "--rootless", "--cgroup-manager"}

// Bundle tells from the arguments of an OCI runtime whether they make a
// container, and if so of which bundle.
func Bundle(args []string) (dir string, ok bool) {
	rest, ok := after(args, "create", "run")
	if !ok {
		return "", false
	}
	if dir, ok := flag(rest, "bundle", "b"); ok {
		return dir, true
	}
	return ".", true
}

// Process tells from the arguments of an OCI runtime whether they start a process
// in a container that a file describes, and if so which file.
func Process(args []string) (file string, ok bool) {
	rest, ok := after(args, "exec")
	if !ok {
		return "", false
	}
	return flag(rest, "process", "p")
}

// after gives what follows one of the commands, if that is what the arguments are.
func after(args []string, commands ...string) (rest []string, ok bool) {
	i := 0
	for i < len(args) && strings.HasPrefix(args[i], "-") {
		if slices.Contains(valueFlags, args[i]) {
			i++
		}
		i++
	}
	if i >= len(args) || !slices.Contains(commands, args[i]) {
		return nil, false
	}
	return args[i+1:], true
}

// flag gives the value of a flag, by its long or its short name.
func flag(args []string, long, short string) (value string, ok bool) {
	for i, arg := range args {
		name, value, has := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || name != long && name != short {
			continue
		}
		if has {
			return value, true
		}
		if i+1 < len(args) {
			return args[i+1], true
		}
	}
	return "", false
}

// Adapt rewrites a bundle's config.json to what the node can do.
func Adapt(bundle string, l Limits) error {
	return rewrite(filepath.Join(bundle, "config.json"), l, adapt)
}

// AdaptProcess does the same to the file of a process.
func AdaptProcess(file string, l Limits) error { return rewrite(file, l, adaptProcess) }

func rewrite(path string, l Limits, adapt func([]byte, Limits) ([]byte, error)) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the container's configuration: %w", err)
	}
	adapted, err := adapt(data, l)
	if err != nil {
		return fmt.Errorf("adapting %s: %w", path, err)
	}
	if adapted == nil {
		return nil
	}
	if err := os.WriteFile(path, adapted, 0o600); err != nil {
		return fmt.Errorf("writing the container's configuration: %w", err)
	}
	return nil
}

// object is a JSON object of which only what is looked at is decoded, so that
// all else stays as it was.
type object map[string]json.RawMessage

// rlimit is one entry of process.rlimits.
type rlimit struct {
	Type string `json:"type"`
	Hard uint64 `json:"hard"`
	Soft uint64 `json:"soft"`
}

// adapt gives nil when nothing needs a change.
func adapt(config []byte, l Limits) ([]byte, error) {
	var spec object
	if err := json.Unmarshal(config, &spec); err != nil {
		return nil, err
	}
	changed := false
	if err := spec.setVersion(l.Spec, &changed); err != nil {
		return nil, err
	}
	if err := spec.edit("process", &changed, func(process object, changed *bool) error {
		return limitProcess(process, l, changed)
	}); err != nil {
		return nil, err
	}
	if l.NoHugetlb {
		if err := spec.edit("linux", &changed, func(linux object, changed *bool) error {
			return linux.edit("resources", changed, dropHugepages)
		}); err != nil {
			return nil, err
		}
	}
	if !changed {
		return nil, nil
	}
	return json.Marshal(spec)
}

// setVersion makes a configuration say that it is of a version, "" for any.
func (o object) setVersion(version string, changed *bool) error {
	raw, err := json.Marshal(version)
	if err != nil || version == "" || string(o["ociVersion"]) == string(raw) {
		return err
	}
	o["ociVersion"], *changed = raw, true
	return nil
}

// adaptProcess is adapt of a process alone.
func adaptProcess(text []byte, l Limits) ([]byte, error) {
	var process object
	if err := json.Unmarshal(text, &process); err != nil {
		return nil, err
	}
	changed := false
	if err := limitProcess(process, l, &changed); err != nil || !changed {
		return nil, err
	}
	return json.Marshal(process)
}

func limitProcess(process object, l Limits, changed *bool) error {
	if l.Capability != nil {
		if err := dropCapabilities(process, l.Capability, changed); err != nil {
			return err
		}
	}
	if !l.NoSysResource {
		return nil
	}
	return clampProcess(process, l, changed)
}

// edit changes a member that is an object, if there is one.
func (o object) edit(name string, changed *bool, change func(object, *bool) error) error {
	raw, ok := o[name]
	if !ok || string(raw) == "null" {
		return nil
	}
	var member object
	if err := json.Unmarshal(raw, &member); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	inner := false
	if err := change(member, &inner); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !inner {
		return nil
	}
	*changed = true
	out, err := json.Marshal(member)
	o[name] = out
	return err
}

func dropHugepages(resources object, changed *bool) error {
	if _, ok := resources["hugepageLimits"]; ok {
		delete(resources, "hugepageLimits")
		*changed = true
	}
	return nil
}

func clampProcess(process object, l Limits, changed *bool) error {
	if raw, ok := process["oomScoreAdj"]; ok {
		var score int
		if err := json.Unmarshal(raw, &score); err != nil {
			return fmt.Errorf("oomScoreAdj: %w", err)
		}
		if score < 0 {
			process["oomScoreAdj"] = json.RawMessage("0")
			*changed = true
		}
	}
	return clampRlimits(process, l, changed)
}

func clampRlimits(process object, l Limits, changed *bool) error {
	raw, ok := process["rlimits"]
	if !ok {
		return nil
	}
	var limits []rlimit
	if err := json.Unmarshal(raw, &limits); err != nil {
		return fmt.Errorf("rlimits: %w", err)
	}
	clamped := false
	for i, want := range limits {
		highest, known := l.Rlimit(want.Type)
		if known && want.Hard > highest {
			limits[i].Hard, limits[i].Soft = highest, min(want.Soft, highest)
			clamped = true
		}
	}
	if !clamped {
		return nil
	}
	*changed = true
	out, err := json.Marshal(limits)
	process["rlimits"] = out
	return err
}
