package nodeimage

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	armorBegin = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	armorEnd   = "-----END PGP PUBLIC KEY BLOCK-----"
)

// dearmor turns armored OpenPGP public keys, with any text around and between
// them, into the binary keyring that gpgv reads.
func dearmor(text string) ([]byte, error) {
	var out []byte
	for {
		_, rest, found := strings.Cut(text, armorBegin)
		if !found {
			break
		}
		block, after, found := strings.Cut(rest, armorEnd)
		if !found {
			return nil, errors.New("a public key block does not end")
		}
		data, err := dearmorBlock(block)
		if err != nil {
			return nil, fmt.Errorf("a public key block: %w", err)
		}
		out, text = append(out, data...), after
	}
	if len(out) == 0 {
		return nil, errors.New("no public key block in it")
	}
	return out, nil
}

// dearmorBlock decodes what lies between the first and the last line: headers,
// an empty line, base64, and a checksum ("=Ab7w") that guards against nothing
// that the pinned fingerprint does not.
func dearmorBlock(block string) ([]byte, error) {
	var body strings.Builder
	headers := true
	for _, line := range strings.Split(strings.TrimPrefix(block, "\n"), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case headers:
			headers = line != ""
		case !strings.HasPrefix(line, "="):
			body.WriteString(line)
		}
	}
	return base64.StdEncoding.DecodeString(body.String())
}
