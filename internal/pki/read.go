package pki

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Read makes an authority again of the certificate and the key, both PEM, that a control
// plane keeps, to sign for the kubelets of a cluster that there is. It can do nothing
// else.
func Read(certificate, key []byte, now time.Time) (*Authority, error) {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return nil, errors.New("the certificate of the cluster's authority is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of the cluster's authority: %w", err)
	}
	own, err := parseKey(key)
	if err != nil {
		return nil, fmt.Errorf("reading the key of the cluster's authority: %w", err)
	}
	if !own.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("the key of the cluster's authority is not that of its certificate")
	}
	return &Authority{cluster: &authority{cert: cert, key: own}, now: now.UTC().Truncate(time.Second)}, nil
}

// parseKey reads a key in the form that keyPEM writes, or that of PKCS #8.
func parseKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is of no known form")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, where clusters of kluster have ECDSA", parsed)
	}
	return key, nil
}
