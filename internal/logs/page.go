package logs

import (
	_ "embed" // of the page's template
	"fmt"
	"html/template"
	"strings"

	"github.com/kluster-project/kluster/internal/bundle"
)

//go:embed assets/index.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("index").Funcs(template.FuncMap{"size": size}).Parse(pageText))

// page is what the template shows.
type page struct {
	*Summary
	Groups []pageGroup
}

// pageGroup is the files of one machine, or of the API.
type pageGroup struct {
	Title string
	Node  *NodeSummary
	Files []bundle.File
}

// page is the summary as one HTML file, with links to the files beside it.
func (s *Summary) page(e *export) (string, error) {
	p := page{Summary: s}
	for i, n := range e.nodes {
		p.Groups = append(p.Groups, pageGroup{n.Name, &s.Nodes[i], below(s.Files, n.dir)})
	}
	if files := below(s.Files, apiDir); len(files) > 0 {
		p.Groups = append(p.Groups, pageGroup{"Objects of the API", nil, files})
	}
	var b strings.Builder
	if err := pageTemplate.Execute(&b, p); err != nil {
		return "", fmt.Errorf("making index.html: %w", err)
	}
	return b.String(), nil
}

func below(files []bundle.File, dir string) []bundle.File {
	var found []bundle.File
	for _, f := range files {
		if strings.HasPrefix(f.Name, dir+"/") {
			found = append(found, f)
		}
	}
	return found
}

// size is a number of bytes for people.
func size(bytes int) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%d KiB", bytes>>10)
	default:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
}
