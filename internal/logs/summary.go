package logs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/bundle"
	"github.com/kluster-project/kluster/provider"
)

// Summary is what a bundle holds, and what is likely wrong. It is summary.json.
type Summary struct {
	Cluster string    `json:"cluster"`
	Dir     string    `json:"dir"`
	Taken   time.Time `json:"taken"`
	// Since is from when on journals and logs were taken; nil for all.
	Since *time.Time `json:"since,omitempty"`
	// Complete: it was not interrupted.
	Complete bool `json:"complete"`
	// Causes of what is wrong, the likeliest first.
	Causes []Cause       `json:"causes"`
	Nodes  []NodeSummary `json:"nodes"`
	API    bool          `json:"api"` // it answers
	// Missing is what could not be had, and why.
	Missing []string      `json:"missing"`
	Files   []bundle.File `json:"files"`
}

// NodeSummary is one machine of a bundle.
type NodeSummary struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	State   string `json:"state"`
	Runtime string `json:"runtime,omitempty"`
	// Bytes are what is in its folder, and Cut how many of its files lack something.
	Bytes int `json:"bytes"`
	Cut   int `json:"cut,omitempty"`
}

// summary is made when all is taken.
func (e *export) summary(ctx context.Context) *Summary {
	s := &Summary{
		Cluster: e.Cluster, Dir: e.Dir, Taken: e.taken.UTC(), Complete: ctx.Err() == nil, API: e.api.answers,
		Causes: e.causes(), Files: e.files(),
	}
	if !e.Since.IsZero() {
		since := e.Since.UTC()
		s.Since = &since
	}
	slices.Sort(e.missing)
	s.Missing = append([]string{}, slices.Compact(e.missing)...)
	for _, n := range e.nodes {
		s.Nodes = append(s.Nodes, nodeSummary(n, s.Files))
	}
	s.redact()
	return s
}

// files are those of the bundle, without the summary itself.
func (e *export) files() []bundle.File {
	return slices.DeleteFunc(e.folder.Files(), func(f bundle.File) bool { return f.Name == summaryFile })
}

func nodeSummary(n *nodeExport, files []bundle.File) NodeSummary {
	s := NodeSummary{Name: n.Name, Role: n.Role, State: string(n.State)}
	if n.Runtime != nil {
		s.Runtime = n.Runtime.Name
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name, n.dir+"/") {
			s.Bytes += f.Size
			if f.Cut {
				s.Cut++
			}
		}
	}
	return s
}

// conclude writes the summary in all its forms.
func (e *export) conclude(s *Summary) error {
	page, err := s.page(e)
	if err != nil {
		return err
	}
	share := e.folder.Share(0)
	share.Must(summaryFile, s.Text(), 0o600)
	share.Must("summary.json", string(indented(s)), 0o600)
	share.Must("index.html", page, 0o600)
	return share.Err()
}

// Text is the summary for people.
func (s *Summary) Text() string {
	var b strings.Builder
	running := 0
	for _, n := range s.Nodes {
		if n.State == string(provider.StateRunning) {
			running++
		}
	}
	fmt.Fprintf(&b, "cluster:  %s\ntaken:    %s\nmachines: %d of %d run\n", s.Cluster, s.Taken.Format(time.RFC3339), running, len(s.Nodes))
	if s.Since != nil {
		fmt.Fprintf(&b, "since:    %s\n", s.Since.Format(time.RFC3339))
	}
	if !s.Complete {
		b.WriteString("interrupted: not all was taken, and files may end early\n")
	}
	b.WriteString("\n" + s.CausesText())
	if len(s.Missing) > 0 {
		fmt.Fprintf(&b, "\ncould not be had:\n  %s\n", strings.Join(s.Missing, "\n  "))
	}
	if cut := s.cut(); len(cut) > 0 {
		fmt.Fprintf(&b, "\nnot whole, for they are long:\n  %s\n", strings.Join(cut, "\n  "))
	}
	return b.String()
}

// CausesText lists the causes, with the lines and files that tell of them.
func (s *Summary) CausesText() string {
	if len(s.Causes) == 0 {
		return "no likely cause was found\n"
	}
	var b strings.Builder
	b.WriteString("likely causes:\n")
	for i, c := range s.Causes {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, c.Said())
		if c.Line != "" {
			fmt.Fprintf(&b, "     last line: %s\n", c.Line)
		}
		if c.File != "" {
			fmt.Fprintf(&b, "     see %s\n", c.File)
		}
	}
	return b.String()
}

// Said is a cause in a line, with its machine where the text does not name it.
func (c Cause) Said() string {
	text := c.Text
	if c.Node != "" && !slices.Contains(strings.Fields(text), c.Node) {
		text = c.Node + ": " + text
	}
	if c.Times > 1 {
		text += fmt.Sprintf(" (said %d times)", c.Times)
	}
	return text
}

// cut names the files that lack something.
func (s *Summary) cut() []string {
	var names []string
	for _, f := range s.Files {
		if f.Cut {
			names = append(names, f.Name)
		}
	}
	return names
}
