package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestMirrors(t *testing.T) {
	const file = `registries: {mirrors: {quay.io: [https://a.example/quay/, 'http://b.example:5000'], docker.io: [https://a.example]}, credentials: [ghcr.io, docker.io, ghcr.io]}`
	for _, test := range []struct {
		name  string
		flags Flags
		want  []nodespec.Mirror
	}{
		{"file", Flags{}, []nodespec.Mirror{
			{Of: "docker.io", Endpoints: []string{"https://a.example"}},
			{Of: "quay.io", Endpoints: []string{"https://a.example/quay", "http://b.example:5000"}},
		}},
		{"flags over file", Flags{Mirrors: []string{"quay.io=https://c.example", "quay.io=https://d.example", "r.example:5=http://e.example"}}, []nodespec.Mirror{
			{Of: "docker.io", Endpoints: []string{"https://a.example"}},
			{Of: "quay.io", Endpoints: []string{"https://c.example", "https://d.example"}},
			{Of: "r.example:5", Endpoints: []string{"http://e.example"}},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Parse("f", []byte(kluster(file)), test.flags, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, c.Registries.Mirrors); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"docker.io", "ghcr.io"}, c.Registries.Credentials); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadMirrors(t *testing.T) {
	for says, file := range map[string]string{
		`registries.mirrors[hub]: "hub" is not the name of a registry`:                              "registries: {mirrors: {hub: [https://a.example]}}",
		`"localhost:5001" is each node's own loopback address, which has no mirror`:                 "registries: {mirrors: {'localhost:5001': [https://a.example]}}",
		`registries.mirrors[docker.io]: has no URL (write it as docker.io: [https://mirror.example`: "registries: {mirrors: {docker.io: []}}",
		`registries.mirrors[docker.io][1]: "a.example" does not begin with http:// or https://`:     "registries: {mirrors: {docker.io: ['http://b.example', a.example]}}",
		`the URL holds credentials`:                                                                   "registries: {mirrors: {docker.io: ['https://me:secret@a.example']}}",
		`has the path of the API, which is understood (leave out /v2)`:                                "registries: {mirrors: {docker.io: ['https://a.example/v2/hub']}}",
		`f:3:28: registries.credentials[0]: "https://ghcr.io" is not the name of a registry`:          "registries: {credentials: ['https://ghcr.io']}",
		`images of Docker Hub are not named by index.docker.io (did you mean "docker.io"?)`:           "registries: {credentials: [index.docker.io]}",
		`proxy.http: is not the URL of an HTTP proxy (write it as http://proxy.example:3128)`:         "proxy: {http: 'socks5://me:secret@a.example'}",
		`proxy.https: the URL has more than a host and a port`:                                        "proxy: {https: 'http://a.example/x'}",
		`proxy.no[1]: "a,b" is not one host, domain, address or subnet (give each a line of its own)`: "proxy: {no: [a, 'a,b']}",
		`certificateAuthorities[0]: must be an absolute path, not "ca.pem"`:                           "certificateAuthorities: [ca.pem]",
	} {
		_, err := Parse("f", []byte(kluster(file)), Flags{}, testOptions())
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %s", file, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells a password: %v", file, err)
		}
	}
	for flag, says := range map[string]string{
		"docker.io":           "--registry-mirror docker.io: must be REGISTRY=URL",
		"hub=https://a":       `--registry-mirror hub: "hub" is not the name of a registry`,
		"docker.io=a.example": `--registry-mirror docker.io: "a.example" does not begin with http`,
	} {
		_, err := FromFlags(Flags{Mirrors: []string{flag}}, testOptions())
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", flag, err)
		}
	}
}

func TestProxyOfNodes(t *testing.T) {
	for file, want := range map[string]*Proxy{
		"":          nil,
		"proxy:":    nil,
		"proxy: {}": {},
		"proxy: {http: 'http://p:3128', no: [corp.example]}": {HTTP: "http://p:3128", No: []string{"corp.example"}},
	} {
		c, err := Parse("f", []byte(kluster(file)), Flags{}, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c.Proxy); diff != "" {
			t.Errorf("%q: %s", file, diff)
		}
	}
}

// somePEM is a certificate, and its key.
func somePEM(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", secret)
}

func TestCertificateAuthorities(t *testing.T) {
	cert, key := somePEM(t)
	for _, test := range []struct{ name, text, says string }{
		{"one", "a comment\n" + cert, ""},
		{"two", cert + cert, ""},
		{"key", cert + key, "/ca.pem: holds a EC PRIVATE KEY; nodes need certificates alone (give a PEM file of certificates)"},
		{"none", "no certificate", "/ca.pem: holds no certificate"},
		{"damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "/ca.pem: certificate 1 cannot be read"},
		{"missing", "", "cannot be read: gone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := testOptions()
			o.ReadFile = func(string) ([]byte, error) {
				if test.text == "" {
					return nil, errors.New("gone")
				}
				return []byte(test.text), nil
			}
			c, err := Parse("f", []byte(kluster("certificateAuthorities: [/ca.pem]")), Flags{}, o)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), "certificateAuthorities[0]: "+test.says) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := []Authority{{"/ca.pem", []byte(strings.TrimPrefix(test.text, "a comment\n"))}}
			if diff := cmp.Diff(want, c.CertificateAuthorities); diff != "" {
				t.Error(diff)
			}
		})
	}
}
