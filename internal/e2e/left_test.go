package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/kluster-project/kluster/internal/status"
)

// notes keeps what a run notes.
type notes struct {
	status.Reporter
	mu    sync.Mutex
	texts []string
}

func (n *notes) Note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts = append(n.texts, fmt.Sprintf(format, args...))
}

// TestAKilledRunNamesItsCluster: nobody else knows of it.
func TestAKilledRunNamesItsCluster(t *testing.T) {
	const named = `cluster "c" was made for this run; if it is left: kluster delete c`
	for name, kill := range map[string]bool{"killed": true, "not killed": false} {
		t.Run(name, func(t *testing.T) {
			r, _ := newRunner(t)
			told := &notes{Reporter: status.Discard}
			r.Reporter = told
			opt := Options{Suite: specs, Dir: t.TempDir(), Target: toCreate("c")}
			killed := make(chan struct{})
			opt.Kill = killed
			if kill {
				close(killed)
			}
			if _, err := r.Run(t.Context(), opt); (err != nil) != kill {
				t.Errorf("err %v", err)
			}
			if slices.Contains(told.texts, named) != kill {
				t.Errorf("notes %q", told.texts)
			}
		})
	}
}
