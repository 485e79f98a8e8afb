package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/kluster-project/kluster/internal/failure"
)

// FileName is the JSON form's name in a report's folder.
const FileName = "report.json"

// Load reads a report from its JSON file, or from the folder that holds it. The
// folder is where evidence paths start.
func Load(path string) (r *Report, folder string, err error) {
	file := path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		file = filepath.Join(path, FileName)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		err = fmt.Errorf("reading report: %w", err)
		if file != path && errors.Is(err, fs.ErrNotExist) {
			err = failure.With(err, failure.Hint("%s is not the report folder of an e2e run: that holds a %s", path, FileName))
		}
		return nil, "", err
	}
	r, err = Parse(data)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	return r, filepath.Dir(file), nil
}

// Parse reads the JSON form. Fields that it does not know are those of a newer
// kluster and are left out.
func Parse(data []byte) (*Report, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, notAReport(fmt.Sprintf("not JSON: %v", err))
	}
	switch {
	case head.Kind != Kind:
		return nil, notAReport(fmt.Sprintf("not an e2e report: kind is %q, not %q", head.Kind, Kind))
	case head.APIVersion != APIVersion:
		return nil, failure.New(fmt.Sprintf("an e2e report of apiVersion %q: this kluster reads %q", head.APIVersion, APIVersion),
			failure.Hint("read it with the kluster that wrote it"))
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("not a good e2e report: %w", err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("not a good e2e report: %w", err)
	}
	return &r, nil
}

func notAReport(message string) error {
	return failure.New(message, failure.Hint("give the report folder of a \"kluster e2e run\", or its %s", FileName))
}

// check finds what no run can have led to.
func (r *Report) check() error {
	for i, s := range r.Specs {
		switch {
		case s.Name == "":
			return fmt.Errorf("specs[%d] has no name", i)
		case !slices.Contains(states, s.State):
			return fmt.Errorf("specs[%d] (%s): state %q is none of %q", i, s.Name, s.State, states)
		case s.Expectation == nil && (s.State == ExpectedFailure || s.State == UnexpectedPass):
			return fmt.Errorf("specs[%d] (%s): state %s without what was expected", i, s.Name, s.State)
		}
		for j, a := range s.Attempts {
			if a.Seconds < 0 {
				return fmt.Errorf("specs[%d] (%s): attempts[%d] took %g seconds", i, s.Name, j, a.Seconds)
			}
		}
	}
	return nil
}

// Sort gives a report its order: of equal runs, the files are equal. Attempts
// keep theirs, which is that of time.
func (r *Report) Sort() {
	slices.SortStableFunc(r.Specs, func(a, b Spec) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(r.Clusters, func(a, b Cluster) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(r.Parts, func(a, b Part) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(r.Incidents, func(a, b Incident) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Text, b.Text))
	})
}

// JSON is the form for machines. It sorts the report and says what it is.
func (r *Report) JSON() ([]byte, error) {
	r.APIVersion, r.Kind = APIVersion, Kind
	r.Sort()
	return marshal(r)
}

// marshal writes JSON that a person can read too: "<" stays "<".
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// Write writes the JSON form into a folder. The file is there whole or not at
// all.
func (r *Report) Write(folder string) error {
	data, err := r.JSON()
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(folder, FileName), append(data, '\n'))
}

// writeFile replaces a file by renaming a finished one.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return fmt.Errorf("writing report: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("writing report: %w", err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("writing report: %w", err)
	}
	return nil
}
