package nodeimage

import (
	"context"
	"errors"
	"net/http"
	"net/url"
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
		if p.Kind != KindRelease {
			continue
		}
		at := pathOf(t, p.URL)
		switch {
		case p.Member == "":
			files[at] = p.Name
		case members[at] == nil:
			members[at] = map[string]string{"./" + p.Member: p.Name}
		default:
			members[at]["./"+p.Member] = p.Name
		}
		if p.Sums != nil {
			files[pathOf(t, p.Sums.URL)] = signed(t, "signer.asc")
		}
	}
	for at, m := range members {
		files[at] = gzipped(t, m)
	}
	return files
}

// pin pins the sha256 of a layout's files instead of upstream's.
func pin(t *testing.T, c *Catalog, r *Recipe, files map[string]string) {
	t.Helper()
	for _, p := range r.Programs {
		if p.Kind == KindRelease && p.Digest != "" {
			rel := c.release(c.component(p.Name).Release)
			rel.SHA256[p.Version+"/"+r.Arch+"/"+p.Name] = sumOf(files[pathOf(t, p.URL)])
		}
	}
}

// releases resolves a build from releases, with a server that has them all.
func (m *machine) releases() (*Recipe, map[string]string) {
	m.t.Helper()
	c, err := LoadCatalog()
	if err != nil {
		m.t.Fatal(err)
	}
	c.release("runc").Fingerprints = []string{signer}
	m.env.Keys = fstest.MapFS{"runc.asc": {Data: []byte(signed(m.t, "signer.key"))}}
	spec := m.spec()
	spec.Source = SourceRelease
	r, err := resolve(context.Background(), c, spec, m.env)
	if err != nil {
		m.t.Fatal(err)
	}
	files := layout(m.t, r)
	s := newUpstream(m.t, files)
	to, err := url.Parse(s.URL)
	if err != nil {
		m.t.Fatal(err)
	}
	m.env.HTTP = &http.Client{Transport: oneServer{to, s.Client().Transport}}
	pin(m.t, c, r, files)
	if r, err = resolve(context.Background(), c, spec, m.env); err != nil {
		m.t.Fatal(err)
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
	for name, want := range map[string]string{"opt/kluster/programs/kubelet/kubelet": "kubelet", "opt/kluster/programs/runc/runc": "runc", "opt/cni/bin/ptp": "ptp", "usr/local/bin/crictl": "crictl"} {
		if got[name] != want {
			t.Errorf("%s: got %q", name, got[name])
		}
	}
	want := map[string]string{
		"kubelet":    "release https://dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet (sha256 pinned)",
		"runc":       "release https://github.com/opencontainers/runc/releases/download/v1.5.2/runc.amd64 (sha256 signed by " + signer + ")",
		"agnhost":    "module k8s.io/kubernetes@v1.36.3", // published nowhere
		"containerd": "module github.com/containerd/containerd/v2@v2.4.2",
	}
	for _, c := range manifest.Components {
		if w, ok := want[c.Name]; ok && c.Source != w {
			t.Errorf("%s: source is %q, want %q", c.Name, c.Source, w)
		}
	}
}

func TestBuildFromBadReleases(t *testing.T) {
	needGpgv(t)
	const kubelet, runc = "/dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet", "/github.com/opencontainers/runc/releases/download/v1.5.2/"
	for name, c := range map[string]struct {
		file, text string
		want       any
	}{
		"another kubelet": {kubelet, "evil", new(*ChecksumError)},
		"another archive": {"/github.com/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz", "evil", new(*ChecksumError)},
		"another runc":    {runc + "runc.amd64", "evil", new(*ChecksumError)},
		"another signer":  {runc + "runc.sha256sum", signed(t, "stranger.asc"), new(*ChecksumError)},
		"cut off":         {kubelet, truncated + "kube", new(*NetworkError)},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			r, files := m.releases()
			if _, ok := files[c.file]; !ok {
				t.Fatalf("no %s", c.file)
			}
			files[c.file] = c.text
			img, _, err := Build(context.Background(), r, Options{CacheDir: t.TempDir(), Sandbox: &fakeSandbox{}})
			if err == nil || !errors.As(err, c.want) {
				t.Fatalf("got %T: %v", err, err)
			}
			if img != nil {
				t.Error("there is an image all the same")
			}
			if said := err.Error(); strings.Count(said, "https:/"+c.file) != 1 || strings.Contains(said, "\n") {
				t.Errorf("not one clear error: %s", said)
			}
		})
	}
}

// TestEveryReleaseIsVouchedFor resolves all that the table offers. Files differ,
// so their digests must, and each must be asked for: a line copied or left over
// is a mistake.
func TestEveryReleaseIsVouchedFor(t *testing.T) {
	m := newMachine(t)
	c, err := LoadCatalog()
	if err != nil {
		t.Fatal(err)
	}
	files, pins := map[string]string{}, 0
	for _, version := range c.Versions() {
		for _, arch := range []string{"amd64", "arm64"} {
			r := m.resolve(Spec{Kubernetes: version, Arch: arch, Source: SourceRelease})
			for _, p := range r.Programs {
				switch listed := c.component(p.Name).Release != ""; {
				case listed != (p.Kind == KindRelease):
					t.Errorf("%s %s %s: comes from %s", p.Name, p.Version, arch, p.Kind)
				case !listed || isSigned(p.Sums):
				case p.Digest == "":
					t.Errorf("nothing vouches for %s", p.URL)
				case files[p.Digest] == "":
					files[p.Digest] = p.URL
				case files[p.Digest] != p.URL:
					t.Errorf("%s and %s have the same digest", files[p.Digest], p.URL)
				}
			}
		}
	}
	for _, r := range c.Releases {
		pins += len(r.SHA256)
	}
	if len(files) != pins || pins == 0 {
		t.Errorf("%d digests are pinned, %d are used", pins, len(files))
	}
}

func isSigned(s *SumFile) bool {
	return s != nil && s.Signature != "" && len(s.Fingerprints) > 0 && len(s.armored) > 0
}

// TestNothingVouches sees that a release without a pin and without a signed
// checksum file is refused before anything is made.
func TestNothingVouches(t *testing.T) {
	for name, change := range map[string]func(*Release){
		"nothing":               func(r *Release) { r.SHA256 = nil },
		"no signature":          func(r *Release) { r.SHA256, r.Checksums = nil, "https://x" },
		"another version's pin": func(r *Release) { r.SHA256 = map[string]string{"v1.0.0/amd64": sumOf("x")} },
		"another machine's pin": func(r *Release) { r.SHA256 = map[string]string{"v1.36.3/arm64": sumOf("x")} },
		"another program's pin": func(r *Release) { r.SHA256 = map[string]string{"v1.36.3/amd64/kubelet": sumOf("x")} },
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
		`{name: r, url: "https://x", checksums: "https://x", signature: unsigned}`:                                     "signature must be",
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
