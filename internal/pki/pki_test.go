package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
)

var now = time.Date(2026, 2, 3, 4, 5, 6, 7, time.FixedZone("", 3600))

func authorityOf(t *testing.T) *Authority {
	t.Helper()
	a, err := New(now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestControlPlaneFiles(t *testing.T) {
	files, err := authorityOf(t).ControlPlaneFiles()
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]uint32{}
	data := map[string][]byte{}
	for _, f := range files {
		modes[f.Path], data[f.Path] = f.Mode, f.Data
	}
	want := map[string]uint32{
		"/etc/kubernetes/pki/ca.crt": 0o644, "/etc/kubernetes/pki/ca.key": 0o600,
		"/etc/kubernetes/pki/etcd/ca.crt": 0o644, "/etc/kubernetes/pki/etcd/ca.key": 0o600,
		"/etc/kubernetes/pki/front-proxy-ca.crt": 0o644, "/etc/kubernetes/pki/front-proxy-ca.key": 0o600,
		"/etc/kubernetes/pki/sa.key": 0o600, "/etc/kubernetes/pki/sa.pub": 0o600,
	}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	for base, name := range map[string]string{"ca": "kubernetes", "etcd/ca": "etcd-ca", "front-proxy-ca": "front-proxy-ca"} {
		if _, err := tls.X509KeyPair(data[Dir+"/"+base+".crt"], data[Dir+"/"+base+".key"]); err != nil {
			t.Errorf("%s: %v", base, err)
		}
		checkAuthority(t, parseCert(t, data[Dir+"/"+base+".crt"]), name)
	}
	checkPair(t, data[Dir+"/sa.key"], data[Dir+"/sa.pub"])
}

// checkAuthority compares c with what kubeadm's pkiutil makes.
func checkAuthority(t *testing.T, c *x509.Certificate, name string) {
	t.Helper()
	type facts struct {
		Name, Issuer string
		DNS          []string
		From, To     time.Time
		Usage        x509.KeyUsage
		CA, Key      bool
	}
	_, isECDSA := c.PublicKey.(*ecdsa.PublicKey)
	got := facts{c.Subject.CommonName, c.Issuer.CommonName, c.DNSNames, c.NotBefore, c.NotAfter, c.KeyUsage, c.IsCA && c.BasicConstraintsValid, isECDSA}
	want := facts{
		name, name,
		[]string{name},
		time.Date(2026, 2, 3, 2, 5, 6, 0, time.UTC), time.Date(2036, 2, 1, 3, 5, 6, 0, time.UTC),
		x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, true, true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: -want +got:\n%s", name, diff)
	}
}

func checkPair(t *testing.T, key, pub []byte) {
	t.Helper()
	k, _ := pem.Decode(key)
	p, _ := pem.Decode(pub)
	if k == nil || p == nil {
		t.Fatal("the service account key is not PEM")
	}
	private, err := x509.ParseECPrivateKey(k.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(p.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !private.PublicKey.Equal(public) {
		t.Error("sa.pub does not belong to sa.key")
	}
}

func TestKubeletFiles(t *testing.T) {
	a := authorityOf(t)
	files, err := a.KubeletFiles("n1")
	if err != nil {
		t.Fatal(err)
	}
	const dated = "/var/lib/kubelet/pki/kubelet-client-2026-02-03-03-05-06.pem"
	pair := files[0].Data
	files[0].Data = nil
	want := []nodespec.File{
		{Path: dated, Mode: 0o600},
		{Path: KubeletClientPEM, Mode: 0o777, Link: dated},
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	checkClient(t, a, pair, pair, "system:node:n1", "system:nodes")
}

func TestKubeletServingFiles(t *testing.T) {
	a := authorityOf(t)
	addrs := []netip.Addr{netip.MustParseAddr("172.28.0.3"), netip.MustParseAddr("fd00::3")}
	files, err := a.KubeletServingFiles("n1", addrs)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]uint32{}
	for _, f := range files {
		modes[f.Path] = f.Mode
	}
	want := map[string]uint32{"/var/lib/kubelet/pki/kubelet.crt": 0o644, "/var/lib/kubelet/pki/kubelet.key": 0o600}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := tls.X509KeyPair(files[0].Data, files[1].Data); err != nil {
		t.Fatal(err)
	}
	c := parseCert(t, files[0].Data)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.CACertificate())
	for _, name := range []string{"n1", "172.28.0.3", "fd00::3"} {
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, o := range map[string]x509.VerifyOptions{
		"another's name":              {DNSName: "n2"},
		"the credentials of a client": {KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	} {
		o.Roots, o.CurrentTime = roots, now
		if _, err := c.Verify(o); err == nil {
			t.Errorf("it serves as %s", name)
		}
	}
}

func TestAdmin(t *testing.T) {
	a := authorityOf(t)
	c, err := a.SuperAdmin()
	if err != nil {
		t.Fatal(err)
	}
	checkClient(t, a, c.Certificate, c.Key, "kubernetes-super-admin", "system:masters")
}

func checkClient(t *testing.T, a *Authority, cert, key []byte, user, group string) {
	t.Helper()
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	c := parseCert(t, cert)
	if c.Subject.CommonName != user || !slices.Equal(c.Subject.Organization, []string{group}) {
		t.Errorf("subject %s, want %s in %s", c.Subject, user, group)
	}
	if want := now.UTC().Truncate(time.Second).AddDate(1, 0, 0); !c.NotAfter.Equal(want) {
		t.Errorf("valid until %s, want %s", c.NotAfter, want)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.CACertificate())
	for _, at := range []time.Time{now.Add(-59 * time.Minute), now.AddDate(0, 11, 0)} {
		_, err := c.Verify(x509.VerifyOptions{
			Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		if err != nil {
			t.Errorf("at %s: %v", at, err)
		}
	}
}

func TestWorkerFilesHoldNoKey(t *testing.T) {
	a := authorityOf(t)
	want := []nodespec.File{{Path: "/etc/kubernetes/pki/ca.crt", Mode: 0o644, Data: a.CACertificate()}}
	if diff := cmp.Diff(want, a.WorkerFiles()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEveryKeyIsItsOwn(t *testing.T) {
	a := authorityOf(t)
	files, err := a.ControlPlaneFiles()
	if err != nil {
		t.Fatal(err)
	}
	other, err := authorityOf(t).ControlPlaneFiles()
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(files, other)
	for i, f := range all {
		for _, g := range all[i+1:] {
			if bytes.Equal(f.Data, g.Data) {
				t.Errorf("%s and %s are the same", f.Path, g.Path)
			}
		}
	}
}

func parseCert(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	b, _ := pem.Decode(data)
	if b == nil || b.Type != "CERTIFICATE" {
		t.Fatal("not a PEM certificate")
	}
	c, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
