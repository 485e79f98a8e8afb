package nodeimage

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// upstream is an https server of files, by path.
type upstream struct {
	*httptest.Server

	mu   sync.Mutex
	hits map[string]int
}

// truncated begins files of which the server promises more than it sends.
const truncated = "truncated:"

func newUpstream(t *testing.T, files map[string]string) *upstream {
	t.Helper()
	u := &upstream{hits: map[string]int{}}
	u.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.hits[r.URL.Path]++
		u.mu.Unlock()
		text, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if rest, cut := strings.CutPrefix(text, truncated); cut {
			w.Header().Set("Content-Length", strconv.Itoa(len(text)+1000))
			text = rest
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) count(path string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.hits[path]
}

func sumOf(text string) string { return digestOf([]byte(text))[len("sha256:"):] }

// gzipped is a .tar.gz of files.
func gzipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	if err := errors.Join(writeTar(zw, files), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}
