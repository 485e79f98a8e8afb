package failure

import (
	"fmt"
	"io"
	"strings"
)

// maxOutputLines is how much of a failed command's output is shown.
const maxOutputLines = 40

// Print renders err for a person: the message, the end of the captured output,
// where the log is, and one line per hint.
func Print(w io.Writer, err error) {
	if err == nil {
		return
	}
	var b strings.Builder
	message := strings.TrimRight(err.Error(), "\n")
	fmt.Fprintf(&b, "error: %s\n", strings.ReplaceAll(message, "\n", "\n  "))
	outs, logs := outputs(err)
	for _, out := range outs {
		if !strings.Contains(message, strings.TrimSpace(out)) {
			writeTail(&b, out)
		}
	}
	for _, log := range logs {
		fmt.Fprintf(&b, "log: %s\n", log)
	}
	for _, hint := range Hints(err) {
		fmt.Fprintf(&b, "hint: %s\n", strings.ReplaceAll(hint, "\n", "\n  "))
	}
	_, _ = io.WriteString(w, b.String()) // nothing is left to tell of a closed stderr
}

// writeTail writes the last lines of out, indented.
func writeTail(b *strings.Builder, out string) {
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	if cut := len(lines) - maxOutputLines; cut > 0 {
		fmt.Fprintf(b, "  | (%d earlier lines left out)\n", cut)
		lines = lines[cut:]
	}
	for _, line := range lines {
		fmt.Fprintf(b, "  | %s\n", strings.TrimRight(line, "\r"))
	}
}
