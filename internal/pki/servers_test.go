package pki

import (
	"crypto/x509"
	"testing"
	"time"
)

func TestServers(t *testing.T) {
	now := time.Now()
	made, err := NewServers("s", now)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadServers(text)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(made.Certificate()) {
		t.Fatal("no certificate")
	}
	for _, host := range []string{"registry.example", "10.0.0.1", "fd00::1"} {
		cert, err := read.For(host, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now.Add(caValidity - time.Minute)}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if err := cert.Leaf.VerifyHostname("other.example"); err == nil {
			t.Errorf("%s: good for another host", host)
		}
	}
}

func TestReadServersRefuses(t *testing.T) {
	made, err := NewServers("s", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := made.For("a", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyPEM(made.ca.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "no key": made.Certificate(), "no authority": append(certPEM(leaf.Leaf), key...),
	} {
		if _, err := ReadServers(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
