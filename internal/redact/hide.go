package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"sync"
)

// shortest is how long a value must be to be hidden: shorter ones are parts of words,
// and taking them out would leave nothing legible.
const shortest = 4

var (
	hiddenMu sync.RWMutex
	hidden   [][]byte // the longest first, so that none is left in parts
)

// Hide makes Text take out these values, as they are, as they are in JSON and URLs, and
// in base64, for as long as the process lives. Those of fewer than four bytes are left.
func Hide(values ...string) {
	hiddenMu.Lock()
	defer hiddenMu.Unlock()
	for _, v := range values {
		if len(v) < shortest {
			continue
		}
		for _, form := range forms(v) {
			if !slices.ContainsFunc(hidden, func(h []byte) bool { return string(h) == form }) {
				hidden = append(hidden, []byte(form))
			}
		}
	}
	slices.SortStableFunc(hidden, func(a, b []byte) int { return len(b) - len(a) })
}

// forms are those in which a value may stand in a text.
func forms(value string) []string {
	all := []string{value, url.QueryEscape(value), url.PathEscape(value), base64.StdEncoding.EncodeToString([]byte(value))}
	if text, err := json.Marshal(value); err == nil {
		all = append(all, string(text[1:len(text)-1]))
	}
	return all
}

// values takes out what was given to Hide.
func values(text []byte) []byte {
	hiddenMu.RLock()
	defer hiddenMu.RUnlock()
	for _, v := range hidden {
		if bytes.Contains(text, v) {
			text = bytes.ReplaceAll(text, v, []byte("(redacted)"))
		}
	}
	return text
}
