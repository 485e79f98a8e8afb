package nodelog

import (
	"regexp"
	"strings"

	"github.com/kluster-project/kluster/internal/trace"
)

// stretch is work that one line begins and another ends: lines of one source
// that have captured the same.
type stretch struct {
	source, name string
	begin, end   *regexp.Regexp
}

// stretches are what runtimes do for the kubelet.
var stretches = []stretch{
	{"containerd.service", "sandbox of", re(`^RunPodSandbox for (.+)$`), re(`^RunPodSandbox for (.+) (?:returns sandbox id|failed)`)},
	{"containerd.service", "making container", re(`^CreateContainer within sandbox "(\w+)" for container (.+)$`), re(`^CreateContainer within sandbox "(\w+)" for (.+) (?:returns container id|failed)`)},
	{"containerd.service", "starting container", re(`^StartContainer for "(\w+)"$`), re(`^StartContainer for "(\w+)" (?:returns|failed)`)},
	{"containerd.service", "pulling", re(`^PullImage "([^"]+)"$`), re(`^PullImage "([^"]+)" (?:returns|failed)`)},
	{"crio.service", "sandbox of", re(`^Running pod sandbox: (.+)$`), re(`^Ran pod sandbox \S+ with infra container: (.+)$`)},
	{"crio.service", "making container", re(`^Creating container: (.+)$`), re(`^Created container \w+: (.+)$`)},
}

var (
	// metadataName is the name in the CRI's metadata, in either of the forms
	// that runtimes print.
	metadataName = re(`\b[nN]ame:"?([^",]+)`)
	// containerID tells which container has which ID.
	containerID = re(`^CreateContainer within sandbox "\w+" for (.+) returns container id "(\w+)"`)
)

// stretcher finds stretches in lines.
type stretcher struct {
	node  string
	open  map[string]trace.Span
	names map[string]string // of containers, by ID
}

func newStretcher(node string) *stretcher {
	return &stretcher{node: node, open: map[string]trace.Span{}, names: map[string]string{}}
}

// read gives the spans that l ends, and remembers those that it begins.
func (w *stretcher) read(l line) []trace.Span {
	if m := containerID.FindStringSubmatch(l.text); m != nil {
		w.names[m[2]] = w.subject(m[1])
	}
	var spans []trace.Span
	for _, s := range stretches {
		if s.source != l.source {
			continue
		}
		if m := s.end.FindStringSubmatch(l.text); m != nil {
			spans = append(spans, w.end(s, m[1:], l)...)
		} else if m := s.begin.FindStringSubmatch(l.text); m != nil {
			w.open[keyOf(s, m[1:])] = trace.Span{
				Track: w.node, Lane: laneOf(l.source), Name: s.name + " " + w.subject(m[len(m)-1]), Start: l.at, Args: args("line", l.text),
			}
		}
	}
	return spans
}

func (w *stretcher) end(s stretch, captured []string, l line) []trace.Span {
	key := keyOf(s, captured)
	span, begun := w.open[key]
	if !begun {
		return nil
	}
	delete(w.open, key)
	span.End = l.at
	return []trace.Span{span}
}

func keyOf(s stretch, captured []string) string {
	return s.source + "\x00" + s.name + "\x00" + strings.Join(captured, "\x00")
}

// subject names what a runtime's line is about: by the name in its metadata, or
// the name that belongs to an ID.
func (w *stretcher) subject(text string) string {
	if m := metadataName.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	if name, ok := w.names[text]; ok {
		return name
	}
	return text
}
