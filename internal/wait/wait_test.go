package wait

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	for name, test := range map[string]struct {
		cancelAfter time.Duration
		nudged      bool
		want        bool
		took        time.Duration
	}{
		"in full":      {cancelAfter: time.Hour, want: true, took: time.Minute},
		"ctx ends":     {cancelAfter: time.Second, want: false, took: time.Second},
		"ctx is over":  {cancelAfter: 0, want: false, took: 0},
		"nudged early": {cancelAfter: time.Hour, nudged: true, want: true, took: 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), test.cancelAfter)
				defer cancel()
				nudge := make(chan struct{}, 1)
				if test.nudged {
					nudge <- struct{}{}
				}
				began := time.Now()
				if got := ForOr(ctx, time.Minute, nudge); got != test.want {
					t.Errorf("got %t", got)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
			})
		})
	}
}

func TestForWithoutNudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !For(t.Context(), time.Minute) || time.Since(began) != time.Minute {
			t.Errorf("waited %s", time.Since(began))
		}
	})
}
