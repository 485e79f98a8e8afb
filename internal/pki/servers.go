package pki

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"time"
)

// Servers is an authority that signs certificates of TLS servers, and nothing else.
type Servers struct{ ca *authority }

// NewServers makes an authority with a key of its own, valid from an hour before now
// for ten years.
func NewServers(name string, now time.Time) (*Servers, error) {
	ca, err := newAuthority(name, now.UTC().Truncate(time.Second))
	if err != nil {
		return nil, fmt.Errorf("making the certificate authority %s: %w", name, err)
	}
	return &Servers{ca}, nil
}

// Certificate is the authority as PEM, without its key.
func (s *Servers) Certificate() []byte { return certPEM(s.ca.cert) }

// For signs a certificate, with a new key, of the server that has a name or an address;
// it is valid as long as the authority.
func (s *Servers) For(host string, now time.Time) (*tls.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: host},
		NotBefore:             now.Add(-backdate),
		NotAfter:              s.ca.cert.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if addr := net.ParseIP(host); addr != nil {
		template.IPAddresses = []net.IP{addr}
	} else {
		template.DNSNames = []string{host}
	}
	cert, err := sign(template, s.ca.cert, &key.PublicKey, s.ca.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate of %s: %w", host, err)
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// Encode writes the authority, its key included, as ReadServers reads it.
func (s *Servers) Encode() ([]byte, error) {
	key, err := keyPEM(s.ca.key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key of an authority: %w", err)
	}
	return append(s.Certificate(), key...), nil
}

// ReadServers reads what Encode wrote.
func ReadServers(text []byte) (*Servers, error) {
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("reading an authority: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("reading an authority: %s is none of kluster's", pair.Leaf.Subject.CommonName)
	}
	return &Servers{&authority{cert: pair.Leaf, key: key}}, nil
}
