// Package timings knows how long specs take: it orders them, longest first,
// spreads them over clusters, and says when a run will end.
package timings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/kluster-project/kluster/configs"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// Table is how many seconds specs took in the latest runs, by name.
type Table map[string][]float64

// keep is the number of runs that a table remembers of each spec: enough for a
// median that one bad day does not move.
const keep = 9

// For is what is known for a version of Kubernetes ("v1.36.3"): what was measured
// here, kept below the folder, and for specs that never ran here what kluster
// was built with.
func For(dir, kubernetes string) (Table, error) {
	base, err := builtin(configs.Timings(), kubernetes)
	if err != nil {
		return nil, err
	}
	own, err := load(os.DirFS(dir), kubernetes+".json")
	if err != nil {
		return base, failure.With(fmt.Errorf("reading timings below %s: %w", dir, err),
			failure.Hint("remove the file: it is made anew by the next run"))
	}
	maps.Copy(base, own)
	return base, nil
}

// Update adds a run to what is kept below the folder.
func Update(dir, kubernetes string, r *report.Report) error {
	name := kubernetes + ".json"
	own, err := load(os.DirFS(dir), name)
	if err != nil {
		own = Table{} // it cannot be read; it is made anew
	}
	own.Add(r)
	if len(own) == 0 {
		return nil
	}
	if err := own.write(filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("writing timings: %w", err)
	}
	return nil
}

// Add takes in the specs of a run that passed. How long a failure took says
// nothing about the next time.
func (t Table) Add(r *report.Report) {
	for _, s := range r.Specs {
		for _, a := range s.Attempts {
			if a.State != "passed" {
				continue
			}
			times := append(t[s.Name], math.Round(a.Seconds*100)/100)
			t[s.Name] = times[max(0, len(times)-keep):]
		}
	}
}

// Seconds is the median of each spec.
func (t Table) Seconds() map[string]float64 {
	out := make(map[string]float64, len(t))
	for name, times := range t {
		if len(times) > 0 {
			out[name] = median(times)
		}
	}
	return out
}

func median(times []float64) float64 {
	sorted := slices.Sorted(slices.Values(times))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// write replaces the file at once.
func (t Table) write(file string) error {
	data, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".timings-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(append(data, '\n'))
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), file)
}

// load reads a table; one that does not exist is empty.
func load(files fs.FS, name string) (Table, error) {
	data, err := fs.ReadFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return Table{}, nil
	}
	if err != nil {
		return nil, err
	}
	return parse(name, data)
}

func parse(name string, data []byte) (Table, error) {
	t := Table{}
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if t == nil { // "null"
		t = Table{}
	}
	for spec, times := range t {
		for _, s := range times {
			if s < 0 {
				return nil, fmt.Errorf("%s: %q took %g seconds", name, spec, s)
			}
		}
	}
	return t, nil
}

// builtin is the table of the version, or else of the nearest one before it, or
// else of the first after it: most specs are the same.
func builtin(files fs.FS, kubernetes string) (Table, error) {
	names, err := fs.Glob(files, "v*.json")
	if err != nil {
		return nil, err
	}
	versions := make([]string, len(names))
	for i, name := range names {
		versions[i] = strings.TrimSuffix(name, ".json")
	}
	semver.Sort(versions)
	best := ""
	for _, v := range versions {
		if best == "" || semver.Compare(v, kubernetes) <= 0 {
			best = v
		}
	}
	return load(files, best+".json")
}
