package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
)

// Authority is what a file holds of certificate authorities.
type Authority struct {
	Path string // absolute
	PEM  []byte // its certificates, and nothing else
}

// authorities reads the files of certificate authorities.
func authorities(w *wish, o Options, p *problems) []Authority {
	var all []Authority
	for i, path := range w.CertificateAuthorities {
		field := item("certificateAuthorities", i)
		if !filepath.IsAbs(path) {
			p.add(field, "", "must be an absolute path, not %q", shorten(path))
			continue
		}
		if o.ReadFile == nil {
			continue
		}
		text, err := o.ReadFile(path)
		if err != nil {
			p.add(field, "", "cannot be read: %v", err)
			continue
		}
		certs, err := certificates(text)
		if err != nil {
			p.add(field, "give a PEM file of certificates", "%s: %v", shorten(path), err)
			continue
		}
		all = append(all, Authority{filepath.Clean(path), certs})
	}
	return all
}

// certificates are those of a PEM file, in that form again.
func certificates(text []byte) ([]byte, error) {
	var out bytes.Buffer
	for n := 1; ; n++ {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s; nodes need certificates alone", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", n, err)
		}
		if err := pem.Encode(&out, &pem.Block{Type: block.Type, Bytes: cert.Raw}); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return nil, errors.New("holds no certificate")
	}
	return out.Bytes(), nil
}
