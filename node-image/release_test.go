package nodeimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// releaseServer serves programs under the paths of upstream's servers, and
// their checksum files.
func releaseServer(t *testing.T) *httptest.Server {
	t.Helper()
	files := map[string][]byte{}
	files["/v1.36.3/bin/linux/amd64/kubelet"] = []byte("kubelet")
	files["/v1.36.3/bin/linux/amd64/kubelet.sha256"] = []byte(digestOf([]byte("kubelet"))[7:])
	archive := gzipped(t, "./bin/ctr", "ctr")
	files["/c/containerd.tar.gz"] = archive
	files["/c/containerd.tar.gz.sha256sum"] = []byte(digestOf(archive)[7:] + "  containerd.tar.gz\n")
	files["/bad/kubelet"] = []byte("something else")
	files["/bad/kubelet.sha256"] = files["/v1.36.3/bin/linux/amd64/kubelet.sha256"]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(data)
	}))
	t.Cleanup(s.Close)
	return s
}

func gzipped(t *testing.T, name, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	err := errors.Join(tw.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text)), Typeflag: tar.TypeReg}), func() error {
		_, err := tw.Write([]byte(text))
		return err
	}(), tw.Close(), zw.Close())
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestDownload(t *testing.T) {
	s := releaseServer(t)
	for name, c := range map[string]struct {
		prog Program
		want any // type of the error
		text string
	}{
		"checksum file": {Program{Name: "kubelet", URL: "/v1.36.3/bin/linux/amd64/kubelet", Checksum: "/v1.36.3/bin/linux/amd64/kubelet.sha256"}, nil, "kubelet"},
		"archive":       {Program{Name: "ctr", URL: "/c/containerd.tar.gz", Checksum: "/c/containerd.tar.gz.sha256sum", Member: "bin/ctr"}, nil, "ctr"},
		"pinned":        {Program{Name: "kubelet", URL: "/v1.36.3/bin/linux/amd64/kubelet", Digest: digestOf([]byte("kubelet"))}, nil, "kubelet"},
		"wrong content": {Program{Name: "kubelet", URL: "/bad/kubelet", Checksum: "/bad/kubelet.sha256"}, new(*ChecksumError), "its sha256 is"},
		"wrong pin":     {Program{Name: "kubelet", URL: "/v1.36.3/bin/linux/amd64/kubelet", Digest: digestOf(nil)}, new(*ChecksumError), "its sha256 is"},
		"no pin":        {Program{Name: "kubelet", URL: "/v1.36.3/bin/linux/amd64/kubelet"}, new(*ChecksumError), "neither"},
		"not there":     {Program{Name: "x", URL: "/x", Checksum: "/x.sha256"}, new(*NetworkError), "404"},
	} {
		t.Run(name, func(t *testing.T) {
			cache := t.TempDir()
			b, err := newBuilder(&Recipe{env: Env{}.withDefaults()}, Options{CacheDir: cache})
			if err != nil {
				t.Fatal(err)
			}
			c.prog.URL = s.URL + c.prog.URL
			if c.prog.Checksum != "" {
				c.prog.Checksum = s.URL + c.prog.Checksum
			}
			dir, err := b.download(context.Background(), &c.prog)
			if c.want != nil {
				if err == nil || !errors.As(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Fatalf("got %T: %v", err, err)
				}
				if left, _ := filepath.Glob(filepath.Join(cache, "steps", "*")); len(left) > 0 {
					t.Errorf("kept in spite of the error: %v", left)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(dir, c.prog.Name))
			if err != nil || string(got) != c.text {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestDownloadUnreachable(t *testing.T) {
	s := releaseServer(t)
	s.Close()
	b, err := newBuilder(&Recipe{env: Env{}.withDefaults()}, Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.download(context.Background(), &Program{Name: "x", URL: s.URL + "/x", Digest: digestOf(nil)})
	var network *NetworkError
	if !errors.As(err, &network) {
		t.Errorf("got %v", err)
	}
}
