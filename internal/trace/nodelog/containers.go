package nodelog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/kluster-project/kluster/internal/trace"
)

// Commands that print what Sandboxes and Containers read.
var (
	SandboxesCommand  = []string{"crictl", "pods", "-o", "json"}
	ContainersCommand = []string{"sh", "-c", "crictl ps -aq | xargs -r crictl inspect -o json"}
)

type metadata struct {
	Name, Namespace string
	Attempt         uint32
}

// Sandboxes reads "crictl pods": when each pod's sandbox was there.
func Sandboxes(node string, data []byte) []trace.Span {
	var list struct {
		Items []struct {
			CreatedAt string
			Metadata  metadata
			State     string
		}
	}
	if json.Unmarshal(data, &list) != nil {
		return nil
	}
	var spans []trace.Span
	for _, s := range list.Items {
		ns, err := strconv.ParseInt(s.CreatedAt, 10, 64)
		if err != nil || ns <= 0 {
			continue
		}
		at := time.Unix(0, ns)
		spans = append(spans, trace.Span{
			Track: node, Lane: "containers", Name: "sandbox of " + s.Metadata.Name + attempt(s.Metadata), Start: at, End: at,
			Args: args("namespace", s.Metadata.Namespace, "state", s.State),
		})
	}
	return spans
}

type container struct {
	Status struct {
		CreatedAt, StartedAt, FinishedAt string
		ExitCode                         int
		State, Reason                    string
		Metadata                         metadata
		Labels                           map[string]string
	}
}

// Containers reads the objects that "crictl inspect" prints, one after the other
// or in a list: the start of each container, and its run if it has ended.
func Containers(node string, data []byte) []trace.Span {
	var spans []trace.Span
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		if d.Decode(&raw) != nil {
			return spans
		}
		many, err := oneOrMany(raw)
		if err != nil {
			continue
		}
		for _, c := range many {
			spans = append(spans, c.spans(node)...)
		}
	}
}

func oneOrMany(raw json.RawMessage) ([]container, error) {
	var many []container
	if json.Unmarshal(raw, &many) == nil {
		return many, nil
	}
	var one container
	if err := json.Unmarshal(raw, &one); err != nil {
		return nil, errors.Join(io.ErrUnexpectedEOF, err)
	}
	return []container{one}, nil
}

func (c container) spans(node string) []trace.Span {
	s := c.Status
	created, ok := containerTime(s.CreatedAt)
	if !ok {
		return nil
	}
	name := s.Metadata.Name + attempt(s.Metadata)
	base := trace.Span{Track: node, Lane: "containers", Name: name + ": created", Start: created, End: created, Args: args(
		"pod", s.Labels["io.kubernetes.pod.name"], "namespace", s.Labels["io.kubernetes.pod.namespace"])}
	started, ok := containerTime(s.StartedAt)
	if !ok {
		return []trace.Span{base}
	}
	base.Name, base.End = name+": created, not started", started
	spans := []trace.Span{base}
	if finished, ok := containerTime(s.FinishedAt); ok {
		spans = append(spans, trace.Span{
			Track: node, Lane: "containers", Name: name + ": runs, then ends", Start: started, End: finished,
			Args: args("exit code", strconv.Itoa(s.ExitCode), "reason", s.Reason),
		})
	}
	return spans
}

// attempt is how the runtime counts restarts, "" for the first one.
func attempt(m metadata) string {
	if m.Attempt == 0 {
		return ""
	}
	return fmt.Sprintf(" (attempt %d)", m.Attempt)
}

// containerTime is false for the zero times of runtimes: year 1, or 1970.
func containerTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil && t.Year() > 1970
}
