package bundle

import (
	"bytes"
	"slices"
)

// Part says which part of something too long is kept.
type Part bool

// The parts.
const (
	Head Part = false
	Tail Part = true
)

// What stands where something was left out.
const (
	restLeftOut   = "(the rest is left out)\n"
	beforeLeftOut = "(what came before is left out)\n"
)

// Cut keeps most bytes of a text at one end, whole lines if there are any, and says
// so where the others were.
func Cut(data []byte, most int, keep Part) []byte {
	if len(data) <= most {
		return data
	}
	note := []byte(restLeftOut)
	if keep == Tail {
		note = []byte(beforeLeftOut)
	}
	most -= len(note)
	if most <= 0 {
		return nil
	}
	if keep == Tail {
		kept := data[len(data)-most:]
		if _, lines, ok := bytes.Cut(kept, []byte("\n")); ok && len(lines) > 0 {
			kept = lines
		}
		return slices.Concat(note, kept)
	}
	kept := data[:most]
	if i := bytes.LastIndexByte(kept, '\n'); i > 0 {
		kept = kept[:i+1]
	}
	return slices.Concat(kept, note)
}

// wholeKey is more than a private key has.
const wholeKey = 16 << 10

// End is a writer that keeps the end of what is written: Most bytes, and some more,
// so that what must not be seen is still whole when it is looked for.
type End struct {
	Most int
	kept []byte
}

func (e *End) Write(p []byte) (int, error) {
	e.kept = append(e.kept, p...)
	// Twice as much is let in, so that not every write moves all of it.
	if least := e.Most + wholeKey; len(e.kept) > 2*least {
		e.kept = append(e.kept[:0], e.kept[len(e.kept)-least:]...)
	}
	return len(p), nil
}

// Bytes are what was kept, until the next Write.
func (e *End) Bytes() []byte { return e.kept }
