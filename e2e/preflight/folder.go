package preflight

import (
	"errors"
	"os"
)

// folder sees that the report can be written.
func (e *examination) folder() []Problem {
	if e.ReportDir == "" {
		return nil
	}
	if err := writable(e.ReportDir); err != nil {
		return []Problem{{Error, "the report cannot be written to " + e.ReportDir, oneLine(err), "choose another folder with --report-dir"}}
	}
	return nil
}

// writable makes a folder, and a file in it that it takes away again.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".preflight-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString("room for a report?\n")
	return errors.Join(err, f.Close())
}
