package nodeimage

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// published is a server of the layout of upstream's.
func published(t *testing.T) map[string]string {
	t.Helper()
	archive := gzipped(t, map[string]string{"./bin/ctr": "ctr", "./bin/containerd": "containerd"})
	kubelet := sumOf("kubelet")
	return map[string]string{
		"/v1.36.3/bin/linux/amd64/kubelet":        "kubelet",
		"/v1.36.3/bin/linux/amd64/kubelet.sha256": kubelet,
		"/c/containerd.tar.gz":                    archive,
		"/c/containerd.tar.gz.sha256sum":          sumOf(archive) + "  containerd.tar.gz\n",
		"/bad/kubelet":                            "something else",
		"/bad/kubelet.sha256":                     kubelet,
		"/short/kubelet":                          truncated + "kube",
		"/short/kubelet.sha256":                   kubelet,
		"/short/containerd.tar.gz":                truncated + archive[:100],
		"/other/SHA256SUMS":                       sumOf("other") + "  other\n",
		"/empty/SHA256SUMS":                       "",
		"/long/SHA256SUMS":                        strings.Repeat("x", textLimit+1),
	}
}

// release is a Program of the server; sums is "" or the checksum file's path.
func release(name, url, member, sums string) Program {
	p := Program{Name: name, Version: "v1.36.3", URL: url, Member: member}
	if sums != "" {
		p.Sums = &SumFile{URL: sums, Signature: SignatureNone}
	}
	return p
}

func TestDownload(t *testing.T) {
	const kubelet = "/v1.36.3/bin/linux/amd64/kubelet"
	pinned := func(p Program, digest string) Program { p.Digest = digest; return p }
	for name, c := range map[string]struct {
		prog Program
		want any // type of the error
		text string
	}{
		"checksum file":     {release("kubelet", kubelet, "", kubelet+".sha256"), nil, "kubelet"},
		"archive":           {release("ctr", "/c/containerd.tar.gz", "bin/ctr", "/c/containerd.tar.gz.sha256sum"), nil, "ctr"},
		"pinned":            {pinned(release("kubelet", kubelet, "", ""), digestOf([]byte("kubelet"))), nil, "kubelet"},
		"wrong content":     {release("kubelet", "/bad/kubelet", "", "/bad/kubelet.sha256"), new(*ChecksumError), "its sha256 is"},
		"wrong pin":         {pinned(release("kubelet", kubelet, "", ""), digestOf(nil)), new(*ChecksumError), "its sha256 is"},
		"nothing vouches":   {release("kubelet", kubelet, "", ""), new(*SpecError), "nothing vouches for the published kubelet v1.36.3"},
		"not in the sums":   {release("kubelet", kubelet, "", "/other/SHA256SUMS"), new(*ChecksumError), "no sha256 of kubelet in it"},
		"empty sums":        {release("kubelet", kubelet, "", "/empty/SHA256SUMS"), new(*ChecksumError), "no sha256 of kubelet in it"},
		"endless sums":      {release("kubelet", kubelet, "", "/long/SHA256SUMS"), new(error), "too long for a checksum file"},
		"not there":         {release("x", "/x", "", kubelet+".sha256"), new(*NetworkError), "/x: the server answered 404 Not Found"},
		"sums not there":    {release("kubelet", kubelet, "", "/x.sha256"), new(*NetworkError), "/x.sha256: the server answered 404 Not Found"},
		"truncated":         {release("kubelet", "/short/kubelet", "", "/short/kubelet.sha256"), new(*NetworkError), "unexpected EOF"},
		"truncated archive": {release("ctr", "/short/containerd.tar.gz", "bin/ctr", "/c/containerd.tar.gz.sha256sum"), new(*NetworkError), "unexpected EOF"},
		"no such member":    {release("runc", "/c/containerd.tar.gz", "bin/runc", "/c/containerd.tar.gz.sha256sum"), new(error), "no file bin/runc in it"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFetching(t, published(t))
			got, err := f.get(c.prog)
			if c.want != nil {
				if err == nil || !errors.As(err, c.want) || !strings.Contains(err.Error(), c.text) {
					t.Fatalf("got %T: %v", err, err)
				}
				f.nothingKept()
				return
			}
			if err != nil || got != c.text {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// fetching is a builder that can do nothing but fetch from a server.
type fetching struct {
	t *testing.T
	b *builder
	s *upstream
}

func newFetching(t *testing.T, files map[string]string) *fetching {
	t.Helper()
	s := newUpstream(t, files)
	b, err := newBuilder(&Recipe{env: Env{HTTP: s.Client()}.withDefaults()}, Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return &fetching{t: t, b: b, s: s}
}

// get downloads a program; addresses without a host are the server's.
func (f *fetching) get(prog Program) (string, error) {
	f.t.Helper()
	prog.URL = f.s.URL + prog.URL
	if prog.Sums != nil {
		prog.Sums.URL = f.s.URL + prog.Sums.URL
		if strings.HasPrefix(prog.Sums.Signature, "/") {
			prog.Sums.Signature = f.s.URL + prog.Sums.Signature
		}
	}
	dir, err := f.b.published(context.Background(), &prog)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(filepath.Join(dir, prog.Name))
	return string(data), err
}

// nothingKept sees that no program came into the cache.
func (f *fetching) nothingKept() {
	f.t.Helper()
	for _, pattern := range []string{"steps/release-*", "tmp/*"} {
		if left, _ := filepath.Glob(filepath.Join(f.b.cache.dir, pattern)); len(left) > 0 {
			f.t.Errorf("kept in spite of the error: %v", left)
		}
	}
}

func TestArchiveIsDownloadedOnce(t *testing.T) {
	f := newFetching(t, published(t))
	for _, name := range []string{"ctr", "containerd", "ctr"} {
		if got, err := f.get(release(name, "/c/containerd.tar.gz", "bin/"+name, "/c/containerd.tar.gz.sha256sum")); err != nil || got != name {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	if n := f.s.count("/c/containerd.tar.gz"); n != 1 {
		t.Errorf("downloaded %d times", n)
	}
}

func TestDownloadUnreachable(t *testing.T) {
	f := newFetching(t, nil)
	f.s.Close()
	_, err := f.get(Program{Name: "x", URL: "/x", Digest: digestOf(nil)})
	var network *NetworkError
	if !errors.As(err, &network) {
		t.Errorf("got %v", err)
	}
}

func TestRedirectMustKeepTLS(t *testing.T) {
	f := newFetching(t, map[string]string{"/ok": "x"})
	f.s.Config.Handler = http.RedirectHandler("http://plain.example/x", http.StatusFound)
	_, err := f.get(Program{Name: "x", URL: "/x", Digest: digestOf([]byte("x"))})
	if err == nil || !strings.Contains(err.Error(), "not https") {
		t.Errorf("got %v", err)
	}
}
