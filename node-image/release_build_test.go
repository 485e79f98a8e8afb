package nodeimage

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// oneServer sends every request to one server, below a folder per host.
type oneServer struct {
	to   *url.URL
	next http.RoundTripper
}

func (o oneServer) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" {
		return nil, errors.New("not https: " + req.URL.String())
	}
	sent := req.Clone(req.Context())
	sent.URL.Path, sent.URL.Host = "/"+req.URL.Host+req.URL.Path, o.to.Host
	return o.next.RoundTrip(sent)
}

func pathOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return "/" + u.Host + u.Path
}

// layout is what upstreams publish of a recipe's programs, each of which holds
// its own name. runc's checksum file is signed.
func layout(t *testing.T, r *Recipe) map[string]string {
	t.Helper()
	members, files := map[string]map[string]string{}, map[string]string{}
	for _, p := range r.Programs {
		switch {
		case p.Kind != KindRelease:
		case p.Member == "":
			files[pathOf(t, p.URL)] = p.Name
		default:
			at := pathOf(t, p.URL)
			if members[at] == nil {
				members[at] = map[string]string{}
			}
			members[at]["./"+p.Member] = p.Name
		}
	}
	for at, m := range members {
		files[at] = gzipped(t, m)
	}
	for _, p := range r.Programs {
		if p.Kind != KindRelease {
			continue
		}
		at := pathOf(t, p.Sums.URL)
		switch text := files[pathOf(t, p.URL)]; {
		case p.Sums.Signature == SignatureInside:
			files[at] = signed(t, "signer.asc")
		case strings.HasSuffix(at, "/"+p.Name+".sha256"): // dl.k8s.io's has nothing but the sum
			files[at] = sumOf(text)
		default:
			files[at] += sumOf(text) + "  " + path.Base(p.URL) + "\n"
		}
	}
	return files
}

// releases resolves a build from releases, with a server that has them all.
func (m *machine) releases() (*Recipe, map[string]string) {
	m.t.Helper()
	c, err := LoadCatalog()
	if err != nil {
		m.t.Fatal(err)
	}
	c.release("runc").Fingerprints = []string{signer}
	spec := m.spec()
	spec.Source = SourceRelease
	files := map[string]string{}
	s := newUpstream(m.t, files)
	to, err := url.Parse(s.URL)
	if err != nil {
		m.t.Fatal(err)
	}
	m.env.HTTP = &http.Client{Transport: oneServer{to, s.Client().Transport}}
	m.env.Keys = fstest.MapFS{"runc.asc": {Data: []byte(signed(m.t, "signer.key"))}}
	r, err := resolve(context.Background(), c, spec, m.env)
	if err != nil {
		m.t.Fatal(err)
	}
	for at, text := range layout(m.t, r) {
		files[at] = text
	}
	return r, files
}

func TestBuildFromReleases(t *testing.T) {
	needGpgv(t)
	m := newMachine(t)
	r, _ := m.releases()
	img, manifest, err := Build(context.Background(), r, Options{CacheDir: t.TempDir(), Sandbox: &fakeSandbox{}})
	if err != nil {
		t.Fatal(err)
	}
	got := files(t, img)
	for name, want := range map[string]string{"usr/bin/kubelet": "kubelet", "usr/local/bin/ctr": "ctr", "usr/local/sbin/runc": "runc", "opt/cni/bin/ptp": "ptp", "usr/local/bin/crictl": "crictl"} {
		if got[name] != want {
			t.Errorf("%s: got %q", name, got[name])
		}
	}
	want := map[string]string{
		"kubelet": "release https://dl.k8s.io/v1.36.3/bin/linux/amd64/kubelet (sha256 from upstream over TLS, not signed)",
		"runc":    "release https://github.com/opencontainers/runc/releases/download/v1.5.2/runc.amd64 (sha256 signed by " + signer + ")",
		"agnhost": "module k8s.io/kubernetes@v1.36.3", // published nowhere
	}
	for _, c := range manifest.Components {
		if w, ok := want[c.Name]; ok && c.Source != w {
			t.Errorf("%s: source is %q, want %q", c.Name, c.Source, w)
		}
	}
}

func TestBuildFromBadReleases(t *testing.T) {
	needGpgv(t)
	for name, c := range map[string]struct {
		file, text string
		want       any
	}{
		"another kubelet": {"/dl.k8s.io/v1.36.3/bin/linux/amd64/kubelet", "evil", new(*ChecksumError)},
		"another signer":  {"/github.com/opencontainers/runc/releases/download/v1.5.2/runc.sha256sum", "stranger.asc", new(*ChecksumError)},
		"cut off":         {"/dl.k8s.io/v1.36.3/bin/linux/amd64/kube-proxy", truncated + "kube", new(*NetworkError)},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			r, files := m.releases()
			if _, ok := files[c.file]; !ok {
				t.Fatalf("no %s", c.file)
			}
			if strings.HasSuffix(c.text, ".asc") {
				c.text = signed(t, c.text)
			}
			files[c.file] = c.text
			_, _, err := Build(context.Background(), r, Options{CacheDir: t.TempDir(), Sandbox: &fakeSandbox{}})
			if err == nil || !errors.As(err, c.want) {
				t.Errorf("got %T: %v", err, err)
			}
		})
	}
}

// TestNothingVouches sees that a release without a pin and without a signed
// checksum file is refused before anything is made.
func TestNothingVouches(t *testing.T) {
	for name, change := range map[string]func(*Release){
		"nothing":      func(r *Release) { r.Checksums, r.Signature = "", "" },
		"no signature": func(r *Release) { r.Signature = "" },
		"another version's pin": func(r *Release) {
			r.Checksums, r.Signature, r.SHA256 = "", "", map[string]string{"v1.0.0/amd64": sumOf("x")}
		},
	} {
		c, err := LoadCatalog()
		if err != nil {
			t.Fatal(err)
		}
		change(c.release("kubernetes"))
		m := newMachine(t)
		spec := m.spec()
		spec.Source = SourceRelease
		_, err = resolve(context.Background(), c, spec, m.env)
		var refused *SpecError
		if !errors.As(err, &refused) || refused.ExitCode() != 2 || !strings.Contains(err.Error(), "nothing vouches for the published kube-apiserver v1.36.3") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCatalogRefusesReleases(t *testing.T) {
	for text, want := range map[string]string{
		`{name: r, url: "https://x"}`:                                                                                  "needs a url, and checksums or sha256",
		`{name: r, url: "https://x", checksums: "https://x"}`:                                                          "signature must be",
		`{name: r, url: "https://x", checksums: "http://x", signature: unsigned}`:                                      "must be https",
		`{name: r, url: "https://x", checksums: "https://x", signature: clearsigned, keys: runc.asc}`:                  "needs fingerprints",
		`{name: r, url: "https://x", checksums: "https://x", signature: clearsigned, keys: no, fingerprints: [x]}`:     "keys: ",
		`{name: r, url: "https://x", checksums: "https://x", signature: "https://s", keys: no, fingerprints: [12345]}`: `"12345" is not a fingerprint`,
		`{name: r, url: "https://x", sha256: {v1/amd64: abc}}`:                                                         `"abc" is none`,
	} {
		if _, err := ParseCatalog([]byte("releases: [" + text + "]")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q is not in: %v", text, want, err)
		}
	}
}
