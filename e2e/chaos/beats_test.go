package chaos

import (
	"testing"
	"time"
)

func TestBeats(t *testing.T) {
	b := &Beats{}
	for _, at := range []time.Duration{1, 2, 3, 9, 10} {
		b.Add(at * time.Second)
	}
	for name, c := range map[string]struct {
		from, to, pause time.Duration
		count           int
	}{
		"goes on":          {1, 3, 1, 3},
		"stops":            {1, 10, 6, 5},
		"did not begin":    {0, 2, 1, 2},
		"does not go on":   {9, 20, 10, 2},
		"without any":      {4, 8, 4, 0},
		"is not of before": {5, 9, 4, 1},
	} {
		count, pause := b.Between(c.from*time.Second, c.to*time.Second)
		if count != c.count || pause != c.pause*time.Second {
			t.Errorf("%s: %d, %s", name, count, pause)
		}
	}
}
