package pki

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
)

// NewRequest makes a key, and asks with it for a client certificate of a user in some
// groups: both as PEM. Whoever signs the request never sees the key.
func NewRequest(user string, groups []string) (request, key []byte, err error) {
	k, err := newKey()
	if err != nil {
		return nil, nil, fmt.Errorf("making a key for %s: %w", user, err)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: user, Organization: groups}}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, k)
	if err != nil {
		return nil, nil, fmt.Errorf("asking for a certificate of %s: %w", user, err)
	}
	if key, err = keyPEM(k); err != nil {
		return nil, nil, fmt.Errorf("encoding the key of %s: %w", user, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), key, nil
}
