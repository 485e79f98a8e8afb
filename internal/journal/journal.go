// Package journal asks a node's systemd what its units said.
package journal

import (
	"fmt"
	"time"
)

// Query is a part of a node's journal.
type Query struct {
	// Units are those whose entries are wanted; none are all.
	Units []string
	// Since and Until bound the entries, to seconds; zero is no bound.
	Since, Until time.Time
	// Follow goes on with new entries as they come.
	Follow bool
}

// Args is the command that prints it: a line for each entry with its time in UTC.
func (q Query) Args() []string {
	argv := []string{"journalctl", "--no-pager", "--quiet", "--utc", "--output=short-precise"}
	if !q.Since.IsZero() {
		argv = append(argv, fmt.Sprintf("--since=@%d", q.Since.Unix()))
	}
	if !q.Until.IsZero() {
		argv = append(argv, fmt.Sprintf("--until=@%d", q.Until.Unix()+1))
	}
	if q.Follow {
		argv = append(argv, "--follow", "--no-tail")
	}
	for _, unit := range q.Units {
		argv = append(argv, "--unit="+unit)
	}
	return argv
}
