package nodeimage

import "testing"

func TestDistinct(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "",
		"a\nb\n  a\nc\na":       "a\nb\nc",
		"verify\n\nx\n\nx\n\ny": "verify\n\nx\n\n\ny",
	} {
		if got := distinct(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
