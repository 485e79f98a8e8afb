package logs

import (
	"fmt"
	"strings"
)

// unitProperties are what is asked of units.
const unitProperties = "Id,LoadState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,StateChangeTimestamp"

// manyRestarts of a unit that runs are a finding all the same.
const manyRestarts = 5

// readStates finds the kubelet and units of the runtime that do not run.
func (n *nodeExport) readStates(text []byte) {
	for _, unit := range parseUnits(string(text)) {
		if said := unit.trouble(); said != "" {
			n.find(Cause{Kind: KindUnit, Object: unit["Id"], Text: said, File: n.file(statesFile)})
		}
	}
}

// unit is the properties of one, by name.
type unit map[string]string

// parseUnits reads what "systemctl show" prints: a block of lines NAME=VALUE for each
// unit.
func parseUnits(text string) []unit {
	var units []unit
	for block := range strings.SplitSeq(text, "\n\n") {
		u := unit{}
		for line := range strings.Lines(block) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				u[name] = value
			}
		}
		if u["Id"] != "" {
			units = append(units, u)
		}
	}
	return units
}

// trouble says what is wrong with a unit that must run, "" if nothing is.
func (u unit) trouble() string {
	var restarts int
	_, _ = fmt.Sscan(u["NRestarts"], &restarts) // 0 where it is not told
	switch {
	case u["LoadState"] == "not-found":
		return fmt.Sprintf("unit %s does not exist", u["Id"])
	case u["ActiveState"] == "active" && restarts < manyRestarts:
		return ""
	case u["ActiveState"] == "active":
		return fmt.Sprintf("unit %s runs, and was started again %d times", u["Id"], restarts)
	}
	said := fmt.Sprintf("unit %s is %s (%s)", u["Id"], u["ActiveState"], u["SubState"])
	if since := u["StateChangeTimestamp"]; since != "" {
		said += " since " + since
	}
	if u["Result"] != "" && u["Result"] != "success" {
		said += fmt.Sprintf(": %s, exit status %s", u["Result"], u["ExecMainStatus"])
	}
	if restarts > 0 {
		said += fmt.Sprintf(", started again %d times", restarts)
	}
	return said
}
