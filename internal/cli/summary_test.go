package cli

import "testing"

func TestShellWord(t *testing.T) {
	for text, want := range map[string]string{
		"":             "''",
		"/tmp/a-b.yml": "/tmp/a-b.yml",
		"a b":          "'a b'",
		"~/x":          "'~/x'",
		"it's":         `'it'\''s'`,
	} {
		if got := shellWord(text); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", text, got, want)
		}
	}
}
