package docker

import (
	"io"

	"github.com/kluster-project/kluster/provider"
)

// tailSize is how much of a command's output an error keeps, in bytes.
const tailSize = 4 << 10

// outputs carry a command's output to where it was asked for, and keep its end.
type outputs struct {
	stdout, stderr         io.Writer
	stdoutTail, stderrTail tail
}

func newOutputs(cmd provider.Command) *outputs {
	o := &outputs{}
	o.stdout = alsoTo(&o.stdoutTail, cmd.Stdout)
	o.stderr = alsoTo(&o.stderrTail, cmd.Stderr)
	return o
}

func alsoTo(t *tail, w io.Writer) io.Writer {
	if w == nil {
		return t
	}
	return io.MultiWriter(t, w)
}

// tail is the end of stderr, or of stdout where stderr is empty; it is nothing
// where the caller has seen stderr itself.
func (o *outputs) tail(cmd provider.Command) string {
	switch {
	case cmd.Stderr != nil:
		return ""
	case len(o.stderrTail) > 0:
		return string(o.stderrTail)
	}
	return string(o.stdoutTail)
}

// tail is a writer that keeps the last tailSize bytes.
type tail []byte

func (t *tail) Write(b []byte) (int, error) {
	*t = append(*t, b...)
	if extra := len(*t) - tailSize; extra > 0 {
		*t = append((*t)[:0], (*t)[extra:]...)
	}
	return len(b), nil
}
