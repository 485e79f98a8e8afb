// Package redact takes out of texts and objects what must not be seen by whoever gets
// the evidence of a failure: private keys, tokens, passwords, the user part of URLs
// (as of proxies), and the data of Secrets.
//
// It goes by the form of things and by their names, and by what it was told (Hide). Any
// other password that nothing names is not found.
package redact

import (
	"bytes"
	"regexp"
)

// rule is what no text may show, and what is shown instead.
type rule struct {
	what *regexp.Regexp
	with string
}

// named are names whose values are secrets, of fields, flags and variables; a value
// shorter than 8 characters is none ("false").
const named = `client-key-data|certificate-?key|[a-z0-9_-]*(?:token|api[-_]?key|access[-_]?key|secret[-_]?key|client[-_]?secret)`

// passwords are names whose values are secrets however short they are.
const passwords = `[a-z0-9_-]*(?:password|passwd|passphrase)`

// whole are rules for what may have many lines. Each has a text that is in all that it
// matches: most texts have it not, and looking for it is fast.
var whole = []struct {
	hint string
	rule
}{
	// A signed token: two parts of JSON in base64, and the signature.
	{"eyJ", rule{regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*`), "(token)"}},
	{"PRIVATE KEY", rule{regexp.MustCompile(`(?s)-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)`), "(private key)"}},
	// The end of one whose beginning was left out.
	{"PRIVATE KEY", rule{regexp.MustCompile(`(?:[^\n]*[A-Za-z0-9+/]{60,}={0,2}\r?\n)*(?:[^\n]*[A-Za-z0-9+/]=*\r?\n)?[^\n]*-----END [A-Z ]*PRIVATE KEY-----`), "(private key)"}},
	// The same in base64, as kubeconfigs and Secrets have it: BEGIN and PRIVATE, or
	// RSA, EC or ENCRYPTED before it.
	{"LS0tLS1CRUdJTiB", rule{regexp.MustCompile(`LS0tLS1CRUdJTiB(?:QUklWQVRF|SU0EgUFJJVkFURS|FQyBQUklWQVRF|FTkNSWVBURUQgUFJJVkFURS)[A-Za-z0-9+/=]*`), "(private key)"}},
}

// inLines are rules for what is in one line, or in two; words are what is in the first
// of them, in lower case.
var inLines = []rule{
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}`), "$1 (credentials)"},
	// Fields of YAML or JSON, flags and variables, and items with a name and a value.
	{regexp.MustCompile(`(?i)\b((?:` + named + `)\\?["']?[ \t]*[:=][ \t]*\\?["']?)[A-Za-z0-9+/=._-]{8,}`), "$1(redacted)"},
	{regexp.MustCompile(`(?i)\b((?:` + passwords + `)\\?["']?[ \t]*[:=][ \t]*\\?["']?)[^\s"'\\,;&()]+`), "$1(redacted)"},
	{regexp.MustCompile(`(?i)(\bname\\?["']?:[ \t]*\\?["']?(?:` + named + `|` + passwords + `)\\?["']?,?\s*\\?["']?value\\?["']?:[ \t]*\\?["']?)[^\s"'\\()]+`), "$1(redacted)"},
	// Credentials of a registry, as docker's configuration has them.
	{regexp.MustCompile(`(?i)(\\?"auth\\?":[ \t]*\\?")[A-Za-z0-9+/=]{8,}`), "$1(redacted)"},
	// Who somebody is to a server, in its URL; references of images are no such.
	{regexp.MustCompile(`(?i)(\bhttps?://)[^\s/"'<>\\]+@`), "$1(credentials)@"},
	{regexp.MustCompile(`(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/"'<>\\@:]*:[^\s/"'<>\\]+@`), "$1(credentials)@"},
}

var words = [][]byte{
	[]byte("bearer"), []byte("basic"), []byte("token"), []byte("key-data"), []byte("certificatekey"), []byte("certificate-key"),
	[]byte("apikey"), []byte("api-key"), []byte("api_key"), []byte("accesskey"), []byte("access-key"), []byte("access_key"),
	[]byte("secretkey"), []byte("secret-key"), []byte("secret_key"), []byte("clientsecret"), []byte("client-secret"), []byte("client_secret"),
	[]byte("passw"), []byte("passphrase"), []byte("://"), []byte(`auth"`), []byte(`auth\"`),
}

// Text takes out of a text what must not be seen.
func Text(text []byte) []byte {
	text = values(text)
	for _, r := range whole {
		if bytes.Contains(text, []byte(r.hint)) {
			text = r.what.ReplaceAll(text, []byte(r.with))
		}
	}
	return lines(bootstrapTokens(text))
}

// lines applies the rules for lines to those that have one of the words, and to the line
// after them: the rules are slow, and most lines have none.
func lines(text []byte) []byte {
	var out []byte
	done, from := 0, -1 // text is copied up to done; lines that are looked at begin at from
	flush := func(to int) {
		part := text[from:to]
		for _, r := range inLines {
			part = r.what.ReplaceAll(part, []byte(r.with))
		}
		out = append(append(out, text[done:from]...), part...)
		done, from = to, -1
	}
	at, before := 0, false
	var low []byte
	for line := range bytes.Lines(text) {
		low = lower(low[:0], line)
		has := hasWord(low)
		if has && from < 0 {
			from = at
		}
		if !has && !before && from >= 0 {
			flush(at)
		}
		at, before = at+len(line), has
	}
	if from >= 0 {
		flush(at)
	}
	if done == 0 {
		return text
	}
	return append(out, text[done:]...)
}

func hasWord(low []byte) bool {
	for _, w := range words {
		if bytes.Contains(low, w) {
			return true
		}
	}
	return false
}

// lower appends a text in lower case, byte for byte.
func lower(to, text []byte) []byte {
	for _, c := range text {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

// A bootstrap token is an ID of 6 letters or digits, a dot, and a secret of 16.
const (
	tokenID     = 6
	tokenSecret = 16
)

// bootstrapTokens takes out those that stand alone. Names of events have the same form,
// mostly after a dash or a slash.
func bootstrapTokens(text []byte) []byte {
	var out []byte
	done := 0
	for at := 0; ; {
		dot := bytes.IndexByte(text[at:], '.')
		if dot < 0 {
			break
		}
		dot += at
		at = dot + 1
		from, to := dot-tokenID, dot+1+tokenSecret
		if from < done || to > len(text) || !alphanumeric(text[from:dot]) || !alphanumeric(text[dot+1:to]) {
			continue
		}
		if from > 0 && !bytes.ContainsRune([]byte(" \t\n\r\"'=,("), rune(text[from-1])) || to < len(text) && wordByte(text[to]) {
			continue
		}
		out = append(append(out, text[done:from]...), "(redacted)"...)
		done, at = to, to
	}
	if done == 0 {
		return text
	}
	return append(out, text[done:]...)
}

func alphanumeric(text []byte) bool {
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func wordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
