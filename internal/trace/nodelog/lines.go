package nodelog

import (
	"bytes"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/trace"
)

// Commands that print what Journal and ContainerLogs read.
var (
	JournalCommand = []string{
		"journalctl", "--no-pager", "-o", "json", "--output-fields=MESSAGE,_SYSTEMD_UNIT",
	}
	// The first megabyte of each container's log, each after a line that names it.
	ContainerLogsCommand = []string{
		"sh", "-c", `cd /var/log/pods 2>/dev/null && for f in */*/*.log; do [ -f "$f" ] && echo "==> $f <==" && head -c 1048576 "$f" && echo; done; true`,
	}
)

// bootstrapUnit is the service whose lines are kubeadm's.
const bootstrapUnit = "kluster-bootstrap.service"

// Journal reads "journalctl -o json" of a node for what its programs mark.
func Journal(node string, data []byte) []trace.Span {
	var all []line
	var kubeadm []Line
	for raw := range lines(data) {
		var entry struct {
			Unit    string          `json:"_SYSTEMD_UNIT"`
			Time    string          `json:"__REALTIME_TIMESTAMP"`
			Message json.RawMessage `json:"MESSAGE"`
		}
		if json.Unmarshal(raw, &entry) != nil {
			continue
		}
		micros, err := strconv.ParseInt(entry.Time, 10, 64)
		if err != nil {
			continue
		}
		at, text := ownTime(time.UnixMicro(micros), message(entry.Message))
		if entry.Unit == bootstrapUnit && strings.TrimSpace(text) != "" {
			kubeadm = append(kubeadm, Line{At: at, Text: text})
		}
		all = append(all, line{source: entry.Unit, program: entry.Unit, at: at, text: text})
	}
	return append(marked(node, all), Kubeadm(node, kubeadm)...)
}

// message is a journal's field, which is a list of bytes if it is not text.
func message(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var numbers []int
	if json.Unmarshal(raw, &numbers) != nil {
		return ""
	}
	b := make([]byte, len(numbers))
	for i, n := range numbers {
		b[i] = byte(n)
	}
	return string(b)
}

// ContainerLogs reads what ContainerLogsCommand prints: per container a line
// "==> NAMESPACE_POD_UID/CONTAINER/0.log <==", and then the log in the CRI's form,
// "TIME stdout|stderr F TEXT". The first line of each log is a stage of its own.
func ContainerLogs(node string, data []byte) []trace.Span {
	var all []line
	var now line
	for raw := range lines(data) {
		if file, ok := bytes.CutPrefix(raw, []byte("==> ")); ok {
			dir := path.Dir(strings.TrimSuffix(string(file), " <=="))
			now = line{source: path.Base(dir), program: dir, first: true}
			continue
		}
		fields := strings.SplitN(string(raw), " ", 4)
		if len(fields) < 4 {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, fields[0])
		if err != nil {
			continue
		}
		now.at, now.text = at, fields[3]
		all = append(all, now)
		now.first = false
	}
	return marked(node, all)
}

// lag is how much later than the program the journal may have written a line.
const lag = 10 * time.Second

var (
	klogLine = regexp.MustCompile(`^[IWEF](\d{4} \d\d:\d\d:\d\d\.\d{6})\s+\d+ [^ ]+\] `)
	logfmt   = regexp.MustCompile(`^time="([^"]+)" level=\w+ msg=("(?:[^"\\]|\\.)*"|\S+)`)
)

// ownTime is when the program itself says it wrote the line: a busy journal is
// late. The text is freed of the quoting that containerd puts around it.
func ownTime(at time.Time, text string) (time.Time, string) {
	if m := klogLine.FindStringSubmatch(text); m != nil {
		t, err := time.Parse("2006 0102 15:04:05.000000", strconv.Itoa(at.UTC().Year())+" "+m[1])
		return near(at, t, err), text
	}
	if m := logfmt.FindStringSubmatch(text); m != nil {
		if msg, err := strconv.Unquote(m[2]); err == nil {
			text = msg
		}
		t, err := time.Parse(time.RFC3339Nano, m[1])
		return near(at, t, err), text
	}
	return at, text
}

// near is t, or at where t cannot be right (another time zone, or year).
func near(at, t time.Time, err error) time.Time {
	if err != nil || t.After(at.Add(time.Second)) || t.Before(at.Add(-lag)) {
		return at
	}
	return t
}

// Kubeadm gives the spans of kubeadm commands that wrote these lines: one per run
// of lines with the same "[phase]", and one per line, until the next.
func Kubeadm(node string, out []Line) []trace.Span {
	if len(out) == 0 {
		return nil
	}
	var spans []trace.Span
	phase, end := "", out[len(out)-1].At
	for i, l := range out {
		until := end
		if i+1 < len(out) {
			until = out[i+1].At
		}
		span := trace.Span{Track: node, Lane: "kubeadm", Name: l.Text, Start: l.At, End: until}
		spans = append(spans, span)
		if now := phaseOf(l.Text); now != "" && now != phase {
			phase = now
			span.Name, span.End = phase, phaseEnd(out[i+1:], phase, end)
			spans = append(spans, span)
		}
	}
	return slices.Clip(spans)
}

// Line is one of a command's output and when it was written.
type Line struct {
	At   time.Time
	Text string
}

// phaseOf is "[wait-control-plane]" of a line that begins so, else "".
func phaseOf(text string) string {
	if !strings.HasPrefix(text, "[") {
		return ""
	}
	name, _, ok := strings.Cut(text, "]")
	if !ok {
		return ""
	}
	return name + "]"
}

// phaseEnd is when the first line of another phase arrived.
func phaseEnd(rest []Line, phase string, end time.Time) time.Time {
	for _, l := range rest {
		if now := phaseOf(l.Text); now != "" && now != phase {
			return l.At
		}
	}
	return end
}
