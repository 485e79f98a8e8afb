package provider

import (
	"fmt"
	"strings"
)

// Error gives the command, its exit code and the tail of its output.
func (e *ExecError) Error() string {
	msg := fmt.Sprintf("%s: command %q ended with code %d", e.Node, strings.Join(e.Args, " "), e.Code)
	if e.Output != "" {
		msg += ":\n" + strings.TrimRight(e.Output, "\n")
	}
	return msg
}
