package docker

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestPauseAgain: a cgroup that could not be frozen is tried again, anything else is not.
func TestPauseAgain(t *testing.T) {
	for name, test := range map[string]struct {
		says  []string // of the first tries; then it works
		tries int32
		err   string
	}{
		"at once":              {nil, 1, ""},
		"processes that begin": {[]string{"OCI runtime pause failed: unable to freeze: unknown", "OCI runtime pause failed: unable to freeze: unknown"}, 3, ""},
		"something else":       {[]string{"OCI runtime pause failed: no such cgroup"}, 1, "no such cgroup"},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int32
			fakeEngine(t, "1.41", "linux", func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/containers/n/pause") {
					http.NotFound(w, r)
					return
				}
				if i := int(tries.Add(1)) - 1; i < len(test.says) {
					http.Error(w, `{"message": "Cannot pause container n: `+test.says[i]+`"}`, http.StatusInternalServerError)
					return
				}
				w.WriteHeader(http.StatusNoContent)
			})
			p, err := New(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			err = p.PauseNode(t.Context(), "n")
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("err = %v", err)
			}
			if tries.Load() != test.tries {
				t.Errorf("tried %d times", tries.Load())
			}
		})
	}
}
