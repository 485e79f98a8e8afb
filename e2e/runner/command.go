package runner

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/suite"
	"github.com/kluster-project/kluster/internal/shell"
)

// command is the suite's program with ginkgo's flags and the runner's.
func (r *run) command(dir string, what round) (*exec.Cmd, error) {
	filter := r.Filter
	if what.exact {
		var err error
		if filter, err = what.exactly(what.Names()); err != nil {
			return nil, err
		}
	}
	flags := append(filterFlags(filter), "--no-color", "--v", "--silence-skips",
		"--seed="+strconv.FormatInt(r.Seed, 10), "--timeout="+time.Until(r.Deadline).Round(time.Millisecond).String())
	flags = append(flags, r.GinkgoFlags...)
	var cmd *exec.Cmd
	if what.procs > 1 {
		path, err := r.wrapped(dir)
		if err != nil {
			return nil, err
		}
		// The CLI takes the report's name for one relative to the output folder.
		flags = append(flags, "--procs="+strconv.Itoa(what.procs), "--output-dir="+dir, "--json-report=report.json", path, "--")
		cmd = exec.Command(r.Ginkgo, append(append([]string{"run"}, flags...), r.Args...)...) //nolint:noctx // it is interrupted, not killed, when ctx ends
	} else {
		flags = append(flags, "--json-report="+filepath.Join(dir, "report.json"))
		cmd = exec.Command(r.Path, append(append([]string{"--test.timeout=0"}, prefixed(flags)...), r.Args...)...) //nolint:noctx // as above
	}
	cmd.Dir = cmp.Or(r.WorkDir, dir)
	cmd.Env = append(append(os.Environ(), r.Env...), event.SocketEnv+"="+filepath.Join(dir, "socket"))
	if len(r.Timings) > 0 {
		file := filepath.Join(dir, "timings.json")
		data, err := json.Marshal(r.Timings)
		if err == nil {
			err = os.WriteFile(file, data, 0o644)
		}
		if err != nil {
			return nil, fmt.Errorf("writing timings: %w", err)
		}
		cmd.Env = append(cmd.Env, suite.TimingsEnv+"="+file)
	}
	return cmd, nil
}

// wrapped is the program for ginkgo's CLI, which runs a program in the folder
// that it lies in: where another is wanted, a script that changes to it.
func (p Program) wrapped(dir string) (string, error) {
	if p.WorkDir == "" {
		return p.Path, nil
	}
	script := fmt.Sprintf("#!/bin/sh\ncd %s && exec %s \"$@\"\n", shell.Quote(p.WorkDir), shell.Quote(p.Path))
	path := filepath.Join(dir, filepath.Base(p.Path))
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		return "", fmt.Errorf("writing a script that starts the suite: %w", err)
	}
	return path, nil
}

// filterFlags are ginkgo's flags for a filter.
func filterFlags(f report.Filter) []string {
	var flags []string
	if f.Labels != "" {
		flags = append(flags, "--label-filter="+f.Labels)
	}
	for _, re := range f.Focus {
		flags = append(flags, "--focus="+re)
	}
	for _, re := range f.Skip {
		flags = append(flags, "--skip="+re)
	}
	return flags
}

// prefixed makes flags of ginkgo's CLI those of a test program.
func prefixed(flags []string) []string {
	out := slices.Clone(flags)
	for i, f := range out {
		out[i] = "--ginkgo." + strings.TrimPrefix(f, "--")
	}
	return out
}
