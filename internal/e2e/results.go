package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kluster-project/kluster/e2e/report"
)

// Files of a report, beside report.json and the folders of evidence.
const (
	JUnitFile    = "junit.xml"
	HTMLFile     = "report.html"
	MarkdownFile = "summary.md"
)

// writeReports writes every form of a report into its folder.
func writeReports(dir string, r *report.Report) error {
	if err := r.Write(dir); err != nil {
		return err
	}
	for _, form := range []struct {
		file  string
		write func(io.Writer) error
	}{
		{JUnitFile, r.WriteJUnit},
		{HTMLFile, func(w io.Writer) error { return r.WriteHTML(w, os.DirFS(dir)) }},
		{MarkdownFile, r.WriteMarkdown},
	} {
		if err := writeFile(filepath.Join(dir, form.file), form.write); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := write(f); err != nil {
		f.Close()
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
