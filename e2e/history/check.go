package history

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict says whether a history is one that registers could have.
type Verdict struct {
	// Right is a history that they could have, and Undecided one whose check took too
	// long.
	Right, Undecided bool
	// Wrong names what they could not have done.
	Wrong []string

	info porcupine.LinearizationInfo
}

// Check holds a history against the registers, for at most some time.
func Check(ops []Op, within time.Duration) Verdict {
	result, info := porcupine.CheckOperationsVerbose(model, operations(settle(ops)), within)
	v := Verdict{Right: result == porcupine.Ok, Undecided: result == porcupine.Unknown, info: info}
	if !v.Right && !v.Undecided {
		v.Wrong = explain(ops)
	}
	return v
}

// Visualize writes the history as a page for a browser, with the longest orders of
// operations that are possible.
func (v Verdict) Visualize(out io.Writer) error {
	return porcupine.Visualize(model, v.info, out)
}

// settle keeps the operations that tell something, each of which was done.
//
// A write that nobody answered was done if its value was seen; then it was before
// whoever saw it first was answered. If not, it can be left out: a later write must
// have named the value that it took the place of, so nothing came after it. So the
// check has nothing to guess, and is quick.
func settle(ops []Op) []Op {
	seen := sightings(ops)
	var kept []Op
	for _, op := range ops {
		switch op.Outcome {
		case Done:
		case Unknown:
			at, ok := seen[of{op.Key, op.Value}]
			if !op.Write || !ok {
				continue
			}
			op.Return = max(op.Call, at)
		default:
			continue
		}
		kept = append(kept, op)
	}
	return kept
}

// of is a value of a key.
type of struct{ key, value string }

// sightings are when each value was first seen by somebody who was answered.
func sightings(ops []Op) map[of]time.Duration {
	seen := map[of]time.Duration{}
	for _, op := range ops {
		value := of{op.Key, op.Value}
		if op.Write {
			value.value = op.From
		}
		if at, ok := seen[value]; op.Outcome == Done && (!ok || op.Return < at) {
			seen[value] = op.Return
		}
	}
	return seen
}

func operations(ops []Op) []porcupine.Operation {
	var out []porcupine.Operation
	for _, op := range ops {
		out = append(out, porcupine.Operation{
			ClientId: op.Client, Input: op, Call: int64(op.Call), Output: op.Outcome, Return: int64(op.Return),
		})
	}
	return out
}

// model is a register that is written only in place of a value that is named, for
// each key. Its state is its value.
var model = porcupine.Model{
	Partition: byKey,
	Init:      func() any { return Initial },
	Step: func(state, input, _ any) (bool, any) {
		op := input.(Op)
		if op.Write {
			return state == op.From, op.Value
		}
		return state == op.Value, state
	},
	DescribeOperation: func(input, _ any) string { return describe(input.(Op)) },
	DescribeState:     func(state any) string { return state.(string) },
}

func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	keys := map[string][]porcupine.Operation{}
	for _, o := range history {
		key := o.Input.(Op).Key
		keys[key] = append(keys[key], o)
	}
	var out [][]porcupine.Operation
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		out = append(out, keys[key])
	}
	return out
}

func describe(op Op) string {
	if !op.Write {
		return fmt.Sprintf("%s: read %s via %s", op.Key, op.Value, op.Via)
	}
	return fmt.Sprintf("%s: write %s for %s via %s, %s", op.Key, op.Value, op.From, op.Via, op.Outcome)
}
