// Package wait pauses for as long as a context allows.
package wait

import (
	"context"
	"time"
)

// For waits for d; it is false when ctx ended first, and then at once.
func For(ctx context.Context, d time.Duration) bool { return ForOr(ctx, d, nil) }

// ForOr is For that a nudge ends early, which is no failure.
func ForOr(ctx context.Context, d time.Duration, nudge <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-nudge:
	}
	return true
}
