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
	return map[string]string{
		"/kubelet":                    "kubelet",
		"/c/containerd.tar.gz":        archive,
		"/bad/kubelet":                "something else",
		"/short/kubelet":              truncated + "kube",
		"/short/containerd.tar.gz":    truncated + archive[:100],
		"/tampered/containerd.tar.gz": gzipped(t, map[string]string{"./bin/ctr": "evil", "./bin/containerd": "containerd"}),
	}
}

// release is a Program of the server, whose file must hold text; "" pins nothing.
func release(name, url, member, text string) Program {
	p := Program{Name: name, Version: "v1.36.3", URL: url, Member: member}
	if text != "" {
		p.Digest = digestOf([]byte(text))
	}
	return p
}

func TestDownload(t *testing.T) {
	files := published(t)
	archive := files["/c/containerd.tar.gz"]
	for name, c := range map[string]struct {
		prog Program
		want any // type of the error
		text string
	}{
		"program":           {release("kubelet", "/kubelet", "", "kubelet"), nil, "kubelet"},
		"archive":           {release("ctr", "/c/containerd.tar.gz", "bin/ctr", archive), nil, "ctr"},
		"wrong content":     {release("kubelet", "/bad/kubelet", "", "kubelet"), new(*ChecksumError), "its sha256 is"},
		"wrong archive":     {release("ctr", "/tampered/containerd.tar.gz", "bin/ctr", archive), new(*ChecksumError), "its sha256 is"},
		"nothing vouches":   {release("kubelet", "/kubelet", "", ""), new(*SpecError), "nothing vouches for the published kubelet v1.36.3"},
		"not there":         {release("x", "/x", "", "x"), new(*NetworkError), "/x: the server answered 404 Not Found"},
		"truncated":         {release("kubelet", "/short/kubelet", "", "kubelet"), new(*NetworkError), "unexpected EOF"},
		"truncated archive": {release("ctr", "/short/containerd.tar.gz", "bin/ctr", archive), new(*NetworkError), "unexpected EOF"},
		"no such member":    {release("runc", "/c/containerd.tar.gz", "bin/runc", archive), new(error), "no file bin/runc in it"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFetching(t, files)
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
	files := published(t)
	f := newFetching(t, files)
	for _, name := range []string{"ctr", "containerd", "ctr"} {
		if got, err := f.get(release(name, "/c/containerd.tar.gz", "bin/"+name, files["/c/containerd.tar.gz"])); err != nil || got != name {
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
	_, err := f.get(release("x", "/x", "", "x"))
	var network *NetworkError
	if !errors.As(err, &network) {
		t.Errorf("got %v", err)
	}
}

func TestRedirectMustKeepTLS(t *testing.T) {
	f := newFetching(t, map[string]string{"/ok": "x"})
	f.s.Config.Handler = http.RedirectHandler("http://plain.example/x", http.StatusFound)
	_, err := f.get(release("x", "/x", "", "x"))
	if err == nil || !strings.Contains(err.Error(), "not https") {
		t.Errorf("got %v", err)
	}
}

func TestFindSum(t *testing.T) {
	sum, other := sumOf("kubelet"), sumOf("other")
	for name, c := range map[string]struct{ text, want string }{
		"named":         {other + "  other\n" + sum + "  kubelet\n", sum},
		"binary":        {sum + " *kubelet\n", sum},
		"in a folder":   {sum + "  ./bin/kubelet\n", sum},
		"empty":         {"", ""},
		"of another":    {other + "  other\n", ""},
		"of any":        {sum + "\n", ""}, // without a name
		"not a sum":     {sum[1:] + "  kubelet\n", ""},
		"longer name":   {sum + "  kubelet.exe\n", ""},
		"name too much": {sum + "  kubelet kubelet\n", ""},
	} {
		got, err := findSum(c.text, "kubelet")
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}
