package history

import (
	"cmp"
	"slices"
	"time"
)

// Tally counts what became of operations.
type Tally struct {
	Ops       int `json:"ops"`
	Conflicts int `json:"conflicts"`
	Failed    int `json:"failed"`
	Unknown   int `json:"unknown"`
	// Writes are those acknowledged.
	Writes int `json:"writes"`
	// Gap is the longest time that one client was without an acknowledged write.
	Gap time.Duration `json:"gap"`
}

// Window is a part of a history; To belongs to it.
type Window struct{ From, To time.Duration }

// Within are the operations that began in a window.
func Within(ops []Op, w Window) []Op {
	return filter(ops, func(op Op) bool { return op.Call >= w.From && op.Call <= w.To })
}

// Via are the operations that went one way.
func Via(ops []Op, way string) []Op {
	return filter(ops, func(op Op) bool { return op.Via == way })
}

func filter(ops []Op, keep func(Op) bool) []Op {
	var out []Op
	for _, op := range ops {
		if keep(op) {
			out = append(out, op)
		}
	}
	return out
}

// Count tallies the operations that began in a window.
func Count(ops []Op, w Window) Tally {
	var t Tally
	clients := map[int][]Op{}
	for _, op := range Within(ops, w) {
		t.Ops++
		clients[op.Client] = append(clients[op.Client], op)
		switch op.Outcome {
		case Conflict:
			t.Conflicts++
		case Failed:
			t.Failed++
		case Unknown:
			t.Unknown++
		case Done:
			if op.Write {
				t.Writes++
			}
		}
	}
	for _, list := range clients {
		t.Gap = max(t.Gap, gap(list, w))
	}
	return t
}

// gap is the longest time in a window without an acknowledged write.
func gap(ops []Op, w Window) time.Duration {
	slices.SortFunc(ops, func(a, b Op) int { return cmp.Compare(a.Return, b.Return) })
	last, longest := w.From, time.Duration(0)
	for _, op := range ops {
		if op.Write && op.Outcome == Done {
			longest = max(longest, op.Return-last)
			last = op.Return
		}
	}
	return max(longest, w.To-last)
}

// FirstFailure is when the first operation since a time came to nothing.
func FirstFailure(ops []Op, since time.Duration) (time.Duration, bool) {
	first, found := time.Duration(0), false
	for _, op := range ops {
		bad := op.Outcome == Failed || op.Outcome == Unknown
		if bad && op.Return >= since && (!found || op.Return < first) {
			first, found = op.Return, true
		}
	}
	return first, found
}

// FirstWrite is when the first write that began since a time was acknowledged.
func FirstWrite(ops []Op, since time.Duration) (time.Duration, bool) {
	first, found := time.Duration(0), false
	for _, op := range ops {
		if op.Write && op.Outcome == Done && op.Call >= since && (!found || op.Return < first) {
			first, found = op.Return, true
		}
	}
	return first, found
}
