package pulls_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/pki"
)

// The user that registries want, and a password that is nowhere else.
const (
	user     = "robot"
	password = "pulls-Spec/pass:word"
)

// hostAddr is an address of this machine that containers reach.
func hostAddr() string {
	GinkgoHelper()
	addrs, err := net.InterfaceAddrs()
	Expect(err).NotTo(HaveOccurred())
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	Fail("this machine has no IPv4 address")
	return ""
}

// seen is a server's list of what it was asked.
type seen struct {
	mu   sync.Mutex
	list []string
}

func (s *seen) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, what)
}

func (s *seen) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// server is an HTTP server of the specs, on all addresses.
type server struct {
	*httptest.Server
	seen
	at string // "192.0.2.1:40123"
}

// serve runs a server until the specs have ended; secure by a certificate, or not.
func serve(cert *tls.Certificate, handler http.Handler) *server {
	GinkgoHelper()
	s := &server{}
	l, err := net.Listen("tcp4", "0.0.0.0:0") //nolint:noctx // bound at once
	Expect(err).NotTo(HaveOccurred())
	s.Server = httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(GinkgoWriter, nil), slog.LevelWarn)
	s.Listener.Close()
	s.Listener = l
	if cert != nil {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12}
		s.StartTLS()
	} else {
		s.Start()
	}
	DeferCleanup(s.Close)
	_, port, err := net.SplitHostPort(l.Addr().String())
	Expect(err).NotTo(HaveOccurred())
	s.at = net.JoinHostPort(hostAddr(), port)
	return s
}

// newRegistry serves images, with a password or without.
func newRegistry(cert *tls.Certificate, secret bool) *server {
	GinkgoHelper()
	images := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelWarn)))
	var s *server
	s = serve(cert, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, word, ok := r.BasicAuth()
		if secret && (!ok || name != user || word != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="specs"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.add(r.Method + " " + r.URL.Path)
		images.ServeHTTP(w, r)
	}))
	return s
}

// push puts an image like no other into a registry.
func (s *server) push(ctx context.Context, base v1.Image, repo string, authority []byte) {
	GinkgoHelper()
	own, err := random.Layer(1000, types.DockerLayer)
	Expect(err).NotTo(HaveOccurred())
	img, err := mutate.AppendLayers(base, own)
	Expect(err).NotTo(HaveOccurred())
	var opts []name.Option
	if s.TLS == nil {
		opts = append(opts, name.Insecure)
	}
	ref, err := name.ParseReference(s.at+"/"+repo, opts...)
	Expect(err).NotTo(HaveOccurred())
	Expect(remote.Write(ref, img, remote.WithContext(ctx), remote.WithTransport(trusting(authority)),
		remote.WithAuth(&authn.Basic{Username: user, Password: password}))).To(Succeed())
}

// from stands between what a proxy was asked, and by whom.
const from = " from "

// newProxy is an HTTP proxy that notes what goes through it.
func newProxy() *server {
	GinkgoHelper()
	var s *server
	plain := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}
	s = serve(nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			client = err.Error()
		}
		s.add(r.Method + " " + r.Host + from + client)
		if r.Method != http.MethodConnect {
			plain.ServeHTTP(w, r)
			return
		}
		to, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer to.Close()
		back, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer back.Close()
		if _, err := io.WriteString(back, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		var both sync.WaitGroup
		for _, way := range [][2]net.Conn{{to, back}, {back, to}} {
			both.Go(func() {
				_, _ = io.Copy(way[0], way[1]) // whatever ends it
				way[0].Close()
			})
		}
		both.Wait()
	}))
	return s
}

// privateAuthority signs certificates that no machine trusts.
func privateAuthority() (*pki.Servers, *tls.Certificate) {
	GinkgoHelper()
	authority, err := pki.NewServers("specs", time.Now())
	Expect(err).NotTo(HaveOccurred())
	cert, err := authority.For(hostAddr(), time.Now())
	Expect(err).NotTo(HaveOccurred())
	return authority, cert
}

// dockerConfig makes a folder with the configuration of a user whose credentials of a
// registry are in the file, and of another in a helper.
func dockerConfig(k *harness.Kluster, inFile, inHelper string) {
	GinkgoHelper()
	dir := filepath.Dir(k.Kubeconfig)
	config := `{"auths": {"` + inFile + `": {"auth": "` + basic(user, password) + `"}}, "credHelpers": {"` + inHelper + `": "spec", "broken.example": "broken", "gone.example": "gone"}}`
	Expect(os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600)).To(Succeed())
	for helper, script := range map[string]string{
		"spec":   "cat >/dev/null; echo '{\"Username\": \"" + user + "\", \"Secret\": \"" + password + "\"}'",
		"broken": "cat >/dev/null; echo the keychain is locked; exit 1",
	} {
		path := filepath.Join(dir, "docker-credential-"+helper)
		Expect(os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755)).To(Succeed())
	}
	k.Env = append(k.Env, "DOCKER_CONFIG="+dir, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// program is an image that prints "ran".
func program(ctx context.Context, dir string) v1.Image {
	GinkgoHelper()
	archive, err := harness.ProgramImage(ctx, dir, "program:1", "package main\n\nfunc main() { println(\"ran\") }\n")
	Expect(err).NotTo(HaveOccurred())
	img, err := tarball.ImageFromPath(archive, nil)
	Expect(err).NotTo(HaveOccurred())
	return img
}
