package parity_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// normaliser takes out of texts what differs between any two clusters: names,
// addresses, keys, tokens and dates.
type normaliser struct {
	replace []func(string) string
}

var (
	pemBase64 = regexp.MustCompile(`LS0tLS1CRUdJTi[A-Za-z0-9+/=]+`)
	pemText   = regexp.MustCompile(`-----BEGIN [A-Z ]+-----(?:[A-Za-z0-9+/=\s]|\\n)+-----END [A-Z ]+-----`)
	token     = regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`)
	signature = regexp.MustCompile(`jws-kubeconfig-[a-z0-9]{6}: \S+`)
	dated     = regexp.MustCompile(`kubelet-client-\d[\d-]+\.pem`)
	// The kubelet's own serving certificates carry the second they were made in.
	second = regexp.MustCompile(`@1\d{9}\b`)
	date   = regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\b`)
)

func (u clusterUnderTest) normaliser() normaliser {
	n := normaliser{replace: []func(string) string{
		func(s string) string { return pemBase64.ReplaceAllStringFunc(s, decodePEM) },
		func(s string) string { return pemText.ReplaceAllStringFunc(s, describePEM) },
		func(s string) string { return strings.ReplaceAll(s, u.name, "CLUSTER") },
	}}
	for _, node := range u.nodes {
		n.replace = append(n.replace, func(s string) string {
			return replaceWord(s, node.Addr.String(), "ADDRESS-OF-"+u.short(node))
		})
	}
	for pattern, with := range map[*regexp.Regexp]string{
		token: "TOKEN", signature: "jws-kubeconfig-ID: SIGNATURE", dated: "kubelet-client-DATE.pem", date: "DATE", second: "@SECOND",
	} {
		n.replace = append(n.replace, func(s string) string { return pattern.ReplaceAllString(s, with) })
	}
	return n
}

// text is a text in normal form.
func (n normaliser) text(s string) string {
	for _, f := range n.replace {
		s = f(s)
	}
	return s
}

// file is a file's content in normal form; YAML has its keys sorted.
func (n normaliser) file(name string, data []byte) string {
	switch path.Ext(name) {
	case ".conf", ".yaml":
		var v any
		if err := yaml.Unmarshal(data, &v); err == nil && v != nil {
			if b, err := yaml.Marshal(v); err == nil {
				data = b
			}
		}
	}
	return n.text(string(data))
}

// replaceWord replaces whole words: 10.0.0.2 is not part of 10.0.0.21.
func replaceWord(s, word, with string) string {
	return regexp.MustCompile(`\b`+regexp.QuoteMeta(word)+`\b`).ReplaceAllString(s, with)
}

func decodePEM(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return s
	}
	return describePEM(string(b))
}

// describePEM says all of a PEM text that is not random.
func describePEM(s string) string {
	var out []string
	rest := []byte(strings.ReplaceAll(s, `\n`, "\n"))
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return strings.Join(out, " and ")
		}
		out = append(out, describeBlock(block))
	}
}

func describeBlock(block *pem.Block) string {
	switch block.Type {
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "a bad certificate"
		}
		return describeCertificate(cert)
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return "a bad public key"
		}
		return "PUBLIC KEY " + describeKey(key)
	default:
		return block.Type
	}
}

func describeCertificate(c *x509.Certificate) string {
	names, addrs := slices.Sorted(slices.Values(c.DNSNames)), []string{}
	for _, ip := range c.IPAddresses {
		addrs = append(addrs, ip.String())
	}
	slices.Sort(addrs)
	// Authorities are dated back a little; a day is the unit that users see.
	days := int(c.NotAfter.Sub(c.NotBefore).Round(24*time.Hour) / (24 * time.Hour))
	return fmt.Sprintf("CERTIFICATE of %s by %s for %v %v, %s, usage %d %v, CA %t, %d days",
		c.Subject, c.Issuer, names, addrs, describeKey(c.PublicKey), c.KeyUsage, c.ExtKeyUsage, c.IsCA, days)
}

func describeKey(key any) string {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	default:
		return fmt.Sprintf("%T", key)
	}
}
