package nodelog

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/trace"
)

// UnitsCommand prints what Units reads.
var UnitsCommand = []string{
	"systemctl", "show", "*", "--timestamp=us+utc", "-p", "Id", "-p", "InactiveExitTimestamp", "-p", "ActiveEnterTimestamp",
	"-p", "ExecMainStartTimestamp", "-p", "ExecMainExitTimestamp", "-p", "Result", "-p", "NRestarts", "-p", "After",
}

// SystemCommand prints what System reads.
var SystemCommand = []string{"systemctl", "show", "--timestamp=us+utc"}

// systemdTime is how systemctl prints a time with --timestamp=us+utc.
const systemdTime = "Mon 2006-01-02 15:04:05.000000 MST"

// Units reads "systemctl show" of units. A unit's span is its activation; the
// part before its main process started is a span of its own.
func Units(node string, data []byte) []trace.Span {
	var spans []trace.Span
	for _, unit := range properties(data) {
		spans = append(spans, unitSpans(node, unit)...)
	}
	return spans
}

// silent are kinds of units that only follow what others do.
var silent = []string{".mount", ".scope", ".slice", ".device"}

func unitSpans(node string, unit map[string]string) []trace.Span {
	if slices.Contains(silent, path.Ext(unit["Id"])) {
		return nil
	}
	start, ok := parseSystemd(unit["InactiveExitTimestamp"])
	if !ok {
		return nil
	}
	main, started := parseSystemd(unit["ExecMainStartTimestamp"])
	end, ok := parseSystemd(unit["ActiveEnterTimestamp"])
	if !ok {
		// One that never became active, such as a oneshot that does not remain.
		end, ok = parseSystemd(unit["ExecMainExitTimestamp"])
	}
	if !ok {
		end = start
	}
	span := trace.Span{
		Track: node, Lane: "systemd", Name: unit["Id"], Start: start, End: end,
		Args: args("result", unless(unit["Result"], "success"), "restarts", unless(unit["NRestarts"], "0"), "after", unit["After"]),
	}
	if !started || !main.After(start) || !main.Before(end) {
		return []trace.Span{span}
	}
	before, process := span, span
	before.Name, before.End, before.Args = unit["Id"]+" (before its main process)", main, nil
	process.Name, process.Start, process.Args = unit["Id"]+" (main process)", main, nil
	return []trace.Span{span, before, process}
}

func unless(s, usual string) string {
	if s == usual {
		return ""
	}
	return s
}

// managerSpans are the stages of systemd's own start.
var managerSpans = []struct{ name, from, to string }{
	{"systemd: until all is up", "UserspaceTimestamp", "FinishTimestamp"},
	{"systemd: security", "SecurityStartTimestamp", "SecurityFinishTimestamp"},
	{"systemd: generators", "GeneratorsStartTimestamp", "GeneratorsFinishTimestamp"},
	{"systemd: loading units", "UnitsLoadStartTimestamp", "UnitsLoadFinishTimestamp"},
}

// System reads "systemctl show" of systemd itself.
func System(node string, data []byte) []trace.Span {
	var spans []trace.Span
	for _, manager := range properties(data) {
		for _, m := range managerSpans {
			start, ok := parseSystemd(manager[m.from])
			end, ended := parseSystemd(manager[m.to])
			if ok && ended {
				spans = append(spans, trace.Span{Track: node, Lane: "systemd", Name: m.name, Start: start, End: end})
			}
		}
	}
	return spans
}

// properties reads blocks of KEY=VALUE lines with empty lines between them.
func properties(data []byte) []map[string]string {
	var all []map[string]string
	now := map[string]string{}
	for line := range lines(data) {
		if len(line) == 0 {
			if len(now) > 0 {
				all, now = append(all, now), map[string]string{}
			}
			continue
		}
		if key, value, ok := bytes.Cut(line, []byte("=")); ok {
			now[string(key)] = strings.TrimSpace(string(value))
		}
	}
	if len(now) > 0 {
		all = append(all, now)
	}
	return all
}

// parseSystemd is false for a time that has not come.
func parseSystemd(s string) (time.Time, bool) {
	t, err := time.Parse(systemdTime, s)
	return t, err == nil && t.Year() > 1970
}
