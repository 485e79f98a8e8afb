package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/status"
)

// A page must open quickly wherever it is: what a run wrote beyond these bytes
// is in the JSON form and in the evidence files.
const (
	pageBudget   = 12 << 20 // outputs and inlined evidence of the whole page
	pageMessage  = 16 << 10 // one message
	pageOutput   = 32 << 10 // the output of one attempt
	pageEvidence = 16 << 10 // an evidence file that is inlined
)

//go:embed assets
var assets embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"script": func() (template.JS, error) { text, err := asset("page.js"); return template.JS(text), err },
	"style":  func() (template.CSS, error) { text, err := asset("page.css"); return template.CSS(text), err },
	"mark":   func(s State) string { return mark[s] },
	"words":  State.Words,
	"short":  shortSeconds,
	"join":   strings.Join,
	"ratio":  ratioText,
}).ParseFS(assets, "assets/*.tmpl"))

func asset(name string) (string, error) {
	text, err := assets.ReadFile("assets/" + name)
	return string(text), err
}

func shortSeconds(s float64) string { return status.Short(time.Duration(s * float64(time.Second))) }

// WriteHTML writes one self-contained page: no network, no other file needed.
// evidence is the folder that the page will lie in, from where it links to the
// evidence files and takes the small ones in; nil if there is none.
func (r *Report) WriteHTML(w io.Writer, evidence fs.FS) error {
	return writePage(w, "report.html.tmpl", newPage(r, evidence))
}

func writePage(w io.Writer, name string, data any) error {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("writing HTML: %w", err)
	}
	if _, err := b.WriteTo(w); err != nil {
		return fmt.Errorf("writing HTML: %w", err)
	}
	return nil
}
