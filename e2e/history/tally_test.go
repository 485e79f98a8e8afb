package history

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCount(t *testing.T) {
	ops := []Op{
		write(1, "0", "a", 100*ms, 110*ms),
		write(2, "a", "b", 150*ms, 160*ms),
		as(write(1, "b", "c", 200*ms, 2200*ms), Unknown),
		as(write(1, "b", "d", 2300*ms, 2310*ms), Conflict),
		as(read(2, "", 2300*ms, 2320*ms), Failed),
		read(2, "b", 2350*ms, 2360*ms),
		write(1, "b", "e", 2400*ms, 2410*ms),
		write(2, "e", "f", 2900*ms, 2910*ms),
		write(1, "f", "g", 9000*ms, 9010*ms), // after it
	}
	want := Tally{Ops: 8, Conflicts: 1, Failed: 1, Unknown: 1, Writes: 4, Gap: 2750 * ms}
	if diff := cmp.Diff(want, Count(ops, Window{To: 3 * time.Second})); diff != "" {
		t.Error(diff)
	}
	if at, ok := FirstFailure(ops, 0); !ok || at != 2200*ms {
		t.Errorf("first failure at %s, %t", at, ok)
	}
	if _, ok := FirstFailure(ops, 2321*ms); ok {
		t.Error("a failure that was before")
	}
	if at, ok := FirstWrite(ops, 200*ms); !ok || at != 2410*ms {
		t.Errorf("first write at %s, %t", at, ok)
	}
	if got := len(Via(ops, "elsewhere")); got != 0 {
		t.Errorf("%d operations went elsewhere", got)
	}
}

// TestGapToTheEnd: a client that is never answered again has a gap too.
func TestGapToTheEnd(t *testing.T) {
	ops := []Op{write(1, "0", "a", 100*ms, 110*ms), as(write(1, "a", "b", 200*ms, 300*ms), Unknown)}
	if got := Count(ops, Window{To: time.Second}).Gap; got != 890*ms {
		t.Errorf("gap %s", got)
	}
}

func TestRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder()
		call := r.Now()
		time.Sleep(5 * ms)
		r.Add(Op{Key: "k", Call: call, Outcome: Done})
		time.Sleep(5 * ms)
		if diff := cmp.Diff([]Op{{Key: "k", Return: 5 * ms, Outcome: Done}}, r.Ops()); diff != "" {
			t.Error(diff)
		}
		if got := r.At(time.Now()); got != 10*ms {
			t.Errorf("now is %s", got)
		}
	})
}
