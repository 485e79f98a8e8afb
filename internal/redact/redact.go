// Package redact takes out of texts and objects what must not be seen by whoever gets
// the evidence of a failure: private keys, tokens, passwords, the user part of URLs
// (as of proxies), and the data of Secrets.
//
// It goes by the form of things and by their names. A password that nothing names is
// not found.
package redact

import (
	"bytes"
	"regexp"
)

// rule is what no text may show, and what is shown instead.
type rule struct {
	// hint is in every text that what matches, for most texts have it not, and
	// looking for it is fast; "" if there is none.
	hint string
	what *regexp.Regexp
	with string
}

// named are names whose values are secrets, of fields, flags and variables; a value
// shorter than 8 characters is none ("false").
const named = `client-key-data|certificate-?key|[a-z0-9_-]*(?:token|api[-_]?key|access[-_]?key|secret[-_]?key|client[-_]?secret)`

// passwords are names whose values are secrets however short they are.
const passwords = `[a-z0-9_-]*(?:password|passwd|passphrase)`

var rules = []rule{
	// A signed token: two parts of JSON in base64, and the signature.
	{"eyJ", regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*`), "(token)"},
	{"", regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}`), "$1 (credentials)"},
	{"PRIVATE KEY", regexp.MustCompile(`(?s)-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)`), "(private key)"},
	// The end of one whose beginning was left out.
	{"PRIVATE KEY", regexp.MustCompile(`(?:[^\n]*[A-Za-z0-9+/]{60,}={0,2}\r?\n)*(?:[^\n]*[A-Za-z0-9+/]=*\r?\n)?[^\n]*-----END [A-Z ]*PRIVATE KEY-----`), "(private key)"},
	// The same in base64, as kubeconfigs and Secrets have it: BEGIN and PRIVATE, or
	// RSA, EC or ENCRYPTED before it.
	{"LS0tLS1CRUdJTiB", regexp.MustCompile(`LS0tLS1CRUdJTiB(?:QUklWQVRF|SU0EgUFJJVkFURS|FQyBQUklWQVRF|FTkNSWVBURUQgUFJJVkFURS)[A-Za-z0-9+/=]*`), "(private key)"},
	// A bootstrap token, alone or after its flag.
	{".", regexp.MustCompile(`(?i)\b(token[ \t]+)[a-z0-9]{6}\.[a-z0-9]{16}\b`), "$1(redacted)"},
	{".", regexp.MustCompile(`(^|[\s"'=,(])[a-z0-9]{6}\.[a-z0-9]{16}\b`), "$1(redacted)"},
	// Fields of YAML or JSON, flags and variables, and items with a name and a value.
	{"", regexp.MustCompile(`(?i)\b((?:` + named + `)\\?["']?[ \t]*[:=][ \t]*\\?["']?)[A-Za-z0-9+/=._-]{8,}`), "$1(redacted)"},
	{"", regexp.MustCompile(`(?i)\b((?:` + passwords + `)\\?["']?[ \t]*[:=][ \t]*\\?["']?)[^\s"'\\,;&()]+`), "$1(redacted)"},
	{"", regexp.MustCompile(`(?i)(\bname\\?["']?:[ \t]*\\?["']?(?:` + named + `|` + passwords + `)\\?["']?,?\s*\\?["']?value\\?["']?:[ \t]*\\?["']?)[^\s"'\\()]+`), "$1(redacted)"},
	// Who somebody is to a server, in its URL; references of images are no such.
	{"://", regexp.MustCompile(`(?i)(\bhttps?://)[^\s/"'<>\\]+@`), "$1(credentials)@"},
	{"://", regexp.MustCompile(`(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/"'<>\\@:]*:[^\s/"'<>\\]+@`), "$1(credentials)@"},
}

// Text takes out of a text what must not be seen.
func Text(text []byte) []byte {
	for _, r := range rules {
		if r.hint == "" || bytes.Contains(text, []byte(r.hint)) {
			text = r.what.ReplaceAll(text, []byte(r.with))
		}
	}
	return text
}
