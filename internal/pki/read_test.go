package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"path"
	"testing"
	"time"
)

// kept are the certificate and the key that a control plane has of a new authority.
func kept(t *testing.T) (a *Authority, certificate, key []byte) {
	t.Helper()
	a, err := New(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	files, err := a.ControlPlaneFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		switch f.Path {
		case path.Join(Dir, "ca.crt"):
			certificate = f.Data
		case path.Join(Dir, "ca.key"):
			key = f.Data
		}
	}
	return a, certificate, key
}

func TestReadSignsAsTheCreateDid(t *testing.T) {
	a, certificate, key := kept(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(a.cluster.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range [][]byte{key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})} {
		again, err := Read(certificate, form, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.CACertificate(), certificate) {
			t.Error("the certificate is another")
		}
		files, err := again.KubeletFiles("n")
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(files[0].Data)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(certificate)
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Error(err)
		}
	}
}

func TestReadOfWhatIsNone(t *testing.T) {
	_, certificate, key := kept(t)
	_, _, other := kept(t)
	for name, tt := range map[string][2][]byte{
		"no certificate":     {nil, key},
		"a bad certificate":  {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), key},
		"no key":             {certificate, nil},
		"a bad key":          {certificate, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x")})},
		"another's key":      {certificate, other},
		"them interchanged ": {key, certificate},
	} {
		if _, err := Read(tt[0], tt[1], time.Now()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
