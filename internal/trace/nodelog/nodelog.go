// Package nodelog turns what the programs of a node say about themselves into
// spans: the boot steps of kluster-node, the units of systemd, the containers of
// the runtime, and the lines of journals, of containers and of kubeadm that mark
// how far something is. All of it is pure: text in, spans out. What cannot be
// read is left out, for a trace with holes is better than none.
package nodelog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"iter"
	"time"

	"github.com/kluster-project/kluster/internal/trace"
)

// maxLine bounds a line; longer ones end the reading.
const maxLine = 4 << 20

// lines are the lines of data without their ends.
func lines(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := bufio.NewScanner(bytes.NewReader(data))
		s.Buffer(nil, maxLine)
		for s.Scan() {
			if !yield(s.Bytes()) {
				return
			}
		}
	}
}

// BootSteps reads the record of kluster-node's boot steps, one JSON object per
// line (boot.Record).
func BootSteps(node string, data []byte) []trace.Span {
	var spans []trace.Span
	for line := range lines(data) {
		var step struct {
			Name, Error string
			Start, End  time.Time
		}
		if json.Unmarshal(line, &step) != nil || step.Start.IsZero() {
			continue
		}
		spans = append(spans, trace.Span{
			Track: node, Lane: "kluster-node", Name: step.Name, Start: step.Start, End: step.End, Args: args("error", step.Error),
		})
	}
	return spans
}

// args are key-value pairs with those left out whose value is empty.
func args(pairs ...string) map[string]string {
	var m map[string]string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if m == nil {
			m = map[string]string{}
		}
		m[pairs[i]] = pairs[i+1]
	}
	return m
}
