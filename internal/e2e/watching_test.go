package e2e

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/wait"
)

// waiting is a package whose first spec waits for its end, and whose second comes
// after it.
const waiting = "./testdata/waits"

// waitingRun is a run of it on a cluster whose API is asked by the test, too.
func waitingRun(t *testing.T, readyz http.HandlerFunc) (*Runner, Options, *waitingFiles) {
	t.Helper()
	files := &waitingFiles{filepath.Join(t.TempDir(), "waiting"), filepath.Join(t.TempDir(), "clean")}
	t.Setenv("WAITING", files.waiting)
	r, clusters := newRunner(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/readyz" {
			readyz(w, q)
			return
		}
		api(w, q)
	}))
	t.Cleanup(server.Close)
	clusters.api = server.URL
	return r, Options{Suite: waiting, Dir: filepath.Join(t.TempDir(), "report"), Target: toCreate("c")}, files
}

// waitingFiles are how the suite and the test know of each other.
type waitingFiles struct {
	waiting string // exists when the first spec waits
	clean   string // the spec has cleaned up when it exists, if it is told its name
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// await is false when a file did not come.
func await(ctx context.Context, path string) bool {
	for !exists(path) {
		if !wait.For(ctx, 10*time.Millisecond) {
			return false
		}
	}
	return true
}

func TestALostAPIEndsTheRun(t *testing.T) {
	var files *waitingFiles
	r, opt, made := waitingRun(t, func(http.ResponseWriter, *http.Request) {
		if files != nil && exists(files.waiting) {
			panic(http.ErrAbortHandler) // the connection is cut off
		}
	})
	files, r.LostAfter = made, 2*time.Second
	got, err := r.Run(t.Context(), opt)
	if err == nil || !strings.Contains(err.Error(), "0 of 2 specs ran: the API of cluster c has not answered since ") || failure.Code(err) != failure.CodeFailed {
		t.Fatalf("err %v, exit code %d", err, failure.Code(err))
	}
	if s := got.Summarize(); s.Missing != 2 || s.Verdict != report.VerdictIncomplete {
		t.Errorf("summary %+v", s)
	}
	if len(got.Incidents) != 1 || !strings.Contains(got.Incidents[0].Text, "the API server was not ready") {
		t.Errorf("incidents %+v", got.Incidents)
	}
	if !strings.Contains(got.Interrupted, "the API of cluster c has not answered") || !exists(filepath.Join(opt.Dir, HTMLFile)) {
		t.Errorf("interrupted by %q, written %t", got.Interrupted, exists(filepath.Join(opt.Dir, HTMLFile)))
	}
}

// TestClustersAreWatchedToTheEnd: an interrupted spec goes on until the API was asked
// again, which only a watch that outlives the interruption does.
func TestClustersAreWatchedToTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var files *waitingFiles
	var after atomic.Int32 // times that the API was asked after the interruption
	r, opt, made := waitingRun(t, func(http.ResponseWriter, *http.Request) {
		if ctx.Err() != nil && after.Add(1) == 2 { // the first was perhaps on its way
			if err := os.WriteFile(files.clean, nil, 0o644); err != nil {
				t.Error(err)
			}
		}
	})
	files = made
	t.Setenv("CLEAN_WHEN", files.clean)
	go func() {
		if await(t.Context(), files.waiting) {
			cancel(errors.New("enough"))
		}
	}()
	got, err := r.Run(ctx, opt)
	if got == nil || err == nil || !strings.Contains(err.Error(), "enough") {
		t.Fatalf("report %v, err %v", got, err)
	}
	if !exists(files.clean) {
		t.Errorf("the API was asked %d times while the suite ended", after.Load())
	}
}
