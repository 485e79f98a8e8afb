package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// mostReasons bounds what is said of a wrong history: after the first wrong thing
// everything may be.
const mostReasons = 10

// explain says in words what is wrong, as far as one operation or two show it. The
// check itself is porcupine's.
func explain(ops []Op) []string {
	kept := settle(ops)
	slices.SortStableFunc(kept, func(a, b Op) int { return cmp.Compare(a.Return, b.Return) })
	var said []string
	for _, find := range []func([]Op) []string{forks, inventions, staleReads} {
		said = append(said, find(kept)...)
	}
	if len(said) == 0 {
		said = []string{"no order of the operations explains what they gave"}
	}
	if len(said) > mostReasons {
		said = append(said[:mostReasons], fmt.Sprintf("and %d more", len(said)-mostReasons))
	}
	return said
}

// forks are two writes that took the place of the same value: one of them is lost.
func forks(ops []Op) (said []string) {
	next := map[of]Op{}
	for _, op := range ops {
		if !op.Write {
			continue
		}
		if other, ok := next[of{op.Key, op.From}]; ok {
			said = append(said, fmt.Sprintf("lost write: %s and %s", at(other), at(op)))
			continue
		}
		next[of{op.Key, op.From}] = op
	}
	return said
}

// inventions are values that were seen and never written.
func inventions(ops []Op) (said []string) {
	written := map[of]bool{}
	for _, op := range ops {
		if written[of{op.Key, Initial}] = true; op.Write {
			written[of{op.Key, op.Value}] = true
		}
	}
	for _, op := range ops {
		if !op.Write && !written[of{op.Key, op.Value}] {
			said = append(said, "never written: "+at(op))
		}
	}
	return said
}

// staleReads are values that were read though a later one had been acknowledged, or
// read, before the read began.
func staleReads(ops []Op) (said []string) {
	age := ages(ops)
	newest := map[string][]Op{} // of each key, each newer than the one before, by when they were answered
	for _, op := range ops {
		list := newest[op.Key]
		if len(list) == 0 || age[of{op.Key, op.Value}] > age[of{op.Key, list[len(list)-1].Value}] {
			newest[op.Key] = append(list, op)
		}
	}
	for _, op := range ops {
		if op.Write {
			continue
		}
		known := newest[op.Key]
		before, _ := slices.BinarySearchFunc(known, op.Call, func(o Op, call time.Duration) int { return cmp.Compare(o.Return, call) })
		if before == 0 {
			continue
		}
		if newer := known[before-1]; age[of{op.Key, newer.Value}] > age[of{op.Key, op.Value}] {
			said = append(said, fmt.Sprintf("stale read, or a lost write: %s after %s", at(op), at(newer)))
		}
	}
	return said
}

// ages number the values of each key in the order in which they took each other's place.
func ages(ops []Op) map[of]int {
	next, first := map[of]string{}, map[string]bool{}
	for _, op := range ops {
		if first[op.Key] = true; op.Write {
			next[of{op.Key, op.From}] = op.Value
		}
	}
	age := map[of]int{}
	for key := range first {
		for v, n := (of{key, Initial}), 1; age[v] == 0; n++ {
			age[v] = n
			if value, ok := next[v]; ok {
				v.value = value
			}
		}
	}
	return age
}

func at(op Op) string {
	return fmt.Sprintf("client %d, %s (%.2f to %.2f s)", op.Client, describe(op), op.Call.Seconds(), op.Return.Seconds())
}
