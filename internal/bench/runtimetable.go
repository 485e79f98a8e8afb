package bench

import (
	"fmt"
	"slices"
	"strings"
)

// runtimeTable writes a report of container runtimes: a row for each pair.
func (r *Report) runtimeTable() string {
	var b strings.Builder
	for _, line := range append(r.where(), r.runtimeOrigin()...) {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	head := []string{"runtime", "OCI runtime"}
	for _, c := range runtimeColumns {
		head = append(head, c.name)
	}
	rows := [][]string{head}
	for figures := range slices.Chunk(r.RuntimeFigures, len(runtimeColumns)) {
		row := []string{figures[0].Runtime, figures[0].OCI}
		for _, f := range figures {
			row = append(row, f.Value.text(f.Unit))
		}
		rows = append(rows, row)
	}
	b.WriteString("\n" + markdown(rows))
	r.writeFailures(&b)
	return b.String()
}

// runtimeOrigin says what was measured, and how much of it.
func (r *Report) runtimeOrigin() []string {
	set, v := r.Settings.Runtimes, r.Versions
	var images, reported []string
	for _, p := range set.Pairs {
		images = addNew(images, set.Images[p.Runtime])
	}
	for _, s := range r.Runtimes {
		reported = addNew(reported, s.Reported)
	}
	lines := []string{fmt.Sprintf("Kubernetes %s, kluster %s, image %s", v.Kubernetes, v.Kluster, strings.Join(images, ", "))}
	if len(reported) > 0 {
		lines = append(lines, "nodes said that they run "+strings.Join(reported, ", "))
	}
	if floor := SpreadOf(r.floors()); floor != nil {
		lines = append(lines, "floor: "+floor.text(Seconds))
	}
	a := set.Amounts
	return append(lines, fmt.Sprintf(
		"each time on a new cluster of one node: %d pods one after the other, %d pods at once, %d idle pods, an image of %d MB",
		a.Sequence, a.Burst, a.Idle, a.ArchiveMB))
}

// addNew adds a word to a list that has not got it.
func addNew(list []string, word string) []string {
	if word == "" || slices.Contains(list, word) {
		return list
	}
	return append(list, word)
}
