package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// timingsEnv names a file, a JSON object: spec -> seconds.
const timingsEnv = "KLUSTER_E2E_TIMINGS"

// unknownSeconds is taken for a spec without a time: to start it among the
// longer ones costs little, to start a long one last costs all of it.
const unknownSeconds = 30

func init() {
	beforeSpecs = append(beforeSpecs, func() error { return longestFirst(os.Getenv(timingsEnv)) })
}

// longestFirst gives each spec a priority by its time in the file, "" for none.
// It must be called before the tree of specs is built.
func longestFirst(file string) error {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading timings: %w", err)
	}
	times := timings{}
	if err := json.Unmarshal(data, &times.seconds); err != nil {
		return fmt.Errorf("reading timings %s: %w", file, err)
	}
	for name := range times.seconds {
		times.names = append(times.names, name)
	}
	slices.Sort(times.names)
	ginkgo.AddTreeConstructionNodeArgsTransformer(func(kind types.NodeType, _ ginkgo.Offset, text string, args []any) (string, []any, []error) {
		if kind != types.NodeTypeIt {
			return text, args, nil
		}
		// At the end, where it counts more than the framework's own.
		return text, append(args, times.priority(names(text, args))), nil
	})
	return nil
}

// names are the texts of a spec's containers and of the spec itself, as far as
// they are known when its node is made: the framework has not had its turn, which
// adds texts among the arguments.
func names(text string, args []any) (containers, leaf string) {
	texts := []string{text}
	for _, arg := range args {
		text, ok := arg.(string)
		if !ok {
			break // a label, which becomes text that is not known here
		}
		texts = append(texts, text)
	}
	return joined(containerTexts()), joined(texts)
}

func joined(texts []string) string {
	var some []string
	for _, t := range texts {
		if t != "" {
			some = append(some, t)
		}
	}
	return strings.Join(some, " ")
}

// containerTexts is nil where ginkgo does not know: version 2.27 forgets a
// container when one within it has ended.
func containerTexts() (texts []string) {
	defer func() { _ = recover() }()
	return ginkgo.CurrentTreeConstructionNodeReport().ContainerHierarchyTexts
}

// timings are known durations, by the name of the spec.
type timings struct {
	seconds map[string]float64
	names   []string // sorted
}

// priority of a spec, in tenths of a second.
func (t timings) priority(containers, leaf string) ginkgo.SpecPriority {
	longest := -1.0
	if containers != "" {
		name := containers + " " + leaf
		at, _ := slices.BinarySearch(t.names, name)
		for ; at < len(t.names) && strings.HasPrefix(t.names[at], name); at++ {
			if endsAfter(t.names[at], len(name)) {
				longest = max(longest, t.seconds[t.names[at]])
			}
		}
	} else {
		for _, name := range t.names {
			if at := strings.Index(name, " "+leaf); at >= 0 && endsAfter(name, at+1+len(leaf)) {
				longest = max(longest, t.seconds[name])
			}
		}
	}
	if longest < 0 {
		longest = unknownSeconds
	}
	return ginkgo.SpecPriority(10 * longest)
}

// endsAfter says whether so much of a name is all of it but for labels, which
// the framework appends (" [Slow] [Conformance]").
func endsAfter(name string, length int) bool {
	return length == len(name) || strings.HasPrefix(name[length:], " [")
}
