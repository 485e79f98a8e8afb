package history

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

func write(client int, from, value string, call, ret time.Duration) Op {
	return Op{Client: client, Via: "lb", Key: "k", Write: true, From: from, Value: value, Call: call, Return: ret, Outcome: Done}
}

func read(client int, value string, call, ret time.Duration) Op {
	return Op{Client: client, Via: "lb", Key: "k", Value: value, Call: call, Return: ret, Outcome: Done}
}

func as(op Op, o Outcome) Op {
	op.Outcome = o
	return op
}

// TestCheck holds small histories, good ones and planted bad ones, against the registers.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		ops   []Op
		wrong string // what is said of a bad one
	}{
		"nothing":               {nil, ""},
		"one after the other":   {[]Op{write(1, "0", "a", 0, 1), read(2, "a", 2, 3), write(2, "a", "b", 4, 5), read(1, "b", 6, 7)}, ""},
		"a read beside a write": {[]Op{write(1, "0", "a", 0, 10), read(2, "a", 1, 2), read(3, "a", 3, 4)}, ""},
		"lost write":            {[]Op{write(1, "0", "a", 0, 1), read(2, "0", 2, 3)}, "stale read, or a lost write: client 2"},
		"lost after it was read": {
			[]Op{write(1, "0", "a", 0, 1), read(1, "a", 2, 3), write(2, "0", "b", 4, 5), read(1, "b", 6, 7)},
			"lost write: client 1",
		},
		"stale read": {
			[]Op{write(1, "0", "a", 0, 1), write(1, "a", "b", 2, 3), read(2, "b", 4, 5), read(3, "a", 6, 7)},
			"stale read, or a lost write: client 3",
		},
		"stale read of what is being written": {
			[]Op{write(1, "0", "a", 0, 10), read(2, "a", 1, 2), read(3, "0", 3, 4)},
			"stale read, or a lost write: client 3",
		},
		"two leaders": {
			[]Op{write(1, "0", "a", 0, 10), write(2, "0", "b", 0, 10)},
			"lost write: client 1",
		},
		"never written":         {[]Op{read(1, "x", 0, 1)}, "never written: client 1"},
		"refused and yet there": {[]Op{as(write(1, "0", "a", 0, 1), Failed), read(1, "a", 2, 3)}, "never written: client 1"},
		"unknown and done":      {[]Op{as(write(1, "0", "a", 0, 1), Unknown), read(2, "a", 2, 3), write(2, "a", "b", 4, 5)}, ""},
		"unknown and done late": {[]Op{as(write(1, "0", "a", 0, 1), Unknown), read(2, "0", 2, 3), read(2, "a", 4, 5)}, ""},
		"unknown and not done":  {[]Op{as(write(1, "0", "a", 0, 1), Unknown), read(2, "0", 2, 3), write(2, "0", "b", 4, 5), read(2, "b", 6, 7)}, ""},
		"unknown, done and undone": {
			[]Op{as(write(1, "0", "a", 0, 1), Unknown), read(2, "a", 2, 3), read(3, "0", 4, 5)},
			"stale read, or a lost write: client 3",
		},
		"seen before it was asked for": {[]Op{read(2, "a", 0, 1), as(write(1, "0", "a", 2, 3), Unknown)}, "no order"},
		"a conflict tells nothing":     {[]Op{as(write(1, "0", "a", 0, 1), Conflict), read(1, "0", 2, 3)}, ""},
		"a failed read tells nothing":  {[]Op{as(read(1, "x", 0, 1), Unknown)}, ""},
		"keys are apart": {
			[]Op{write(1, "0", "a", 0, 1), {Key: "other", Value: Initial, Call: 2, Return: 3, Outcome: Done}}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := Check(c.ops, time.Minute)
			if v.Undecided || v.Right != (c.wrong == "") {
				t.Fatalf("right %t, undecided %t: %q", v.Right, v.Undecided, v.Wrong)
			}
			if said := strings.Join(v.Wrong, "\n"); !strings.Contains(said, c.wrong) {
				t.Errorf("want %q in: %s", c.wrong, said)
			}
		})
	}
}

// simulate is what some clients of real registers record in the time of a row of the
// chaos suite, when a part of the writes is not answered.
func simulate(random *rand.Rand, clients, rounds, keys int) []Op {
	stored := map[string]string{}
	var ops []Op
	for round := range rounds {
		for client := range clients {
			call := time.Duration(round)*100*ms + time.Duration(random.IntN(50))*ms
			op := Op{Client: client, Via: "lb", Key: fmt.Sprint((client + round) % keys), Call: call, Return: call + 49*ms, Outcome: Done}
			if stored[op.Key] == "" {
				stored[op.Key] = Initial
			}
			if op.Value = stored[op.Key]; round%2 == 0 {
				op.Write, op.From, op.Value = true, stored[op.Key], fmt.Sprintf("%d-%d", client, round)
				op.Outcome = Unknown
				if random.IntN(4) > 0 {
					op.Outcome = Done
				}
				if op.Outcome == Done || random.IntN(2) == 0 {
					stored[op.Key] = op.Value
				}
			}
			ops = append(ops, op)
		}
	}
	return ops
}

// TestCheckDecides checks histories of the size that the suite has, good ones and ones
// in which one read is replaced by an earlier value.
func TestCheckDecides(t *testing.T) {
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 1))
		ops := simulate(random, 6, 900, 6)
		if v := Check(ops, time.Minute); !v.Right {
			t.Fatalf("seed %d: %q", seed, v.Wrong)
		}
		spoil(ops)
		if v := Check(ops, time.Minute); v.Right || v.Undecided || len(v.Wrong) == 0 {
			t.Errorf("seed %d: a stale read is not found: %+v", seed, v.Wrong)
		}
	}
}

// spoil has a late read of a key give what an early one gave.
func spoil(ops []Op) {
	early := map[string]string{}
	last := 0
	for i, op := range ops {
		if op.Write {
			continue
		}
		if _, ok := early[op.Key]; !ok {
			early[op.Key] = op.Value
		}
		if op.Value != early[op.Key] {
			last = i
		}
	}
	ops[last].Value = early[ops[last].Key]
}

// TestCheckIsBounded gives the check a puzzle: values that come back, all at once.
func TestCheckIsBounded(t *testing.T) {
	var ops []Op
	for i := range 40 {
		from, to := fmt.Sprint(i%7), fmt.Sprint((i*3+1)%7)
		ops = append(ops, write(i, from, to, 0, 10), read(i, fmt.Sprint(i%5), 0, 10))
	}
	ops = append(ops, read(1, "never", 11, 12))
	began := time.Now()
	v := Check(ops, 200*ms)
	if v.Right || !v.Undecided {
		t.Errorf("right %t, undecided %t", v.Right, v.Undecided)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
}

// TestVisualize sees that a bad history becomes a page that names its operations.
func TestVisualize(t *testing.T) {
	v := Check([]Op{write(1, "0", "a", 0, 1), read(2, "0", 2, 3)}, time.Minute)
	var page strings.Builder
	if err := v.Visualize(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<html", "k: write a for 0 via lb, done", "k: read 0 via lb"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q in the page", want)
		}
	}
}
