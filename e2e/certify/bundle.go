package certify

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// Bundle is what a certification bundle is made of.
type Bundle struct {
	Report  *report.Report
	Product Product
	// Required are the names of all conformance specs of the cluster's release.
	Required []string
	// Log and JUnit are the suite's own files, as it wrote them.
	Log, JUnit string
	// Commands lead to the same results, for the README.
	Commands []string
}

// Submission is where a bundle goes.
type Submission struct {
	Release string // v1.36
	Folder  string // in the repository cncf/k8s-conformance
	Title   string // of the pull request
}

//go:embed README.md.tmpl
var readmeText string

var readme = template.Must(template.New("").Funcs(template.FuncMap{"cell": cell}).Parse(readmeText))

// cell is text in a cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}

// Write makes the bundle in a folder, which is empty, new, or an older bundle.
// If anything would keep it from being accepted the error is a *Refusal, and
// nothing is written.
func (b Bundle) Write(dir string) (Submission, error) {
	s := b.submission()
	var r reasons
	checkRun(&r, b.Report, b.Required)
	b.Product.check(&r)
	if err := r.err(); err != nil {
		return s, failure.With(err, failure.Hint("the report itself is complete: only a certification asks for more"))
	}
	if names := strangers(dir); len(names) > 0 {
		return s, failure.New(fmt.Sprintf("no certification bundle: %s holds other files (%s)", dir, strings.Join(names, ", ")),
			failure.Exit(failure.CodeUsage), failure.Hint("name a folder that is empty or new"))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return s, fmt.Errorf("writing certification bundle: %w", err)
	}
	// Made beside its place, and moved there when it is known to be good.
	draft, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".certification-*")
	if err != nil {
		return s, fmt.Errorf("writing certification bundle: %w", err)
	}
	defer os.RemoveAll(draft)
	if err := b.fill(draft, s); err != nil {
		return s, fmt.Errorf("writing certification bundle: %w", err)
	}
	if err := Check(draft, b.Required); err != nil {
		return s, err
	}
	for _, name := range files {
		if err := os.Rename(filepath.Join(draft, name), filepath.Join(dir, name)); err != nil {
			return s, fmt.Errorf("writing certification bundle: %w", err)
		}
	}
	return s, nil
}

func (b Bundle) submission() Submission {
	var s Submission
	if v := b.Report.Versions(); len(v) > 0 {
		s.Release = release(v[0])
	}
	s.Folder = s.Release + "/" + b.Product.folder()
	s.Title = "Conformance results for " + s.Folder
	return s
}

// fill writes the four files.
func (b Bundle) fill(dir string, s Submission) error {
	product, err := yaml.Marshal(b.Product)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, ProductFile), product, 0o644); err != nil {
		return err
	}
	var text strings.Builder
	if err := readme.Execute(&text, b.readme(s)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, ReadmeFile), []byte(text.String()), 0o644); err != nil {
		return err
	}
	if err := copyFile(b.Log, filepath.Join(dir, LogFile)); err != nil {
		return err
	}
	return copyFile(b.JUnit, filepath.Join(dir, JUnitFile))
}

// readmeData is what the README's template shows.
type readmeData struct {
	Bundle
	Submission
	Summary report.Summary
	Cluster report.Cluster
	Minutes int
}

func (b Bundle) readme(s Submission) readmeData {
	return readmeData{b, s, b.Report.Summarize(), b.Report.Clusters[0], int(b.Report.Wall().Minutes() + .5)}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
