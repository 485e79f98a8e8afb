package redact

import (
	"strings"
	"testing"
)

func TestHide(t *testing.T) {
	Hide("s3cret/pass\"word", "abc", "")
	const text = `plain s3cret/pass"word, JSON {"x":"s3cret/pass\"word"}, URL s3cret%2Fpass%22word, base64 czNjcmV0L3Bhc3Mid29yZA==; abc stays`
	got := string(Text([]byte(text)))
	if want := `plain (redacted), JSON {"x":"(redacted)"}, URL (redacted), base64 (redacted); abc stays`; got != want {
		t.Errorf("got %s", got)
	}
	if strings.Contains(string(Text([]byte("a text without it"))), "redacted") {
		t.Error("took out what is no secret")
	}
}
