package docker

import (
	"fmt"
	"strings"
	"testing"
)

func TestLoadError(t *testing.T) {
	for _, test := range []struct{ answer, want string }{
		{`{"stream":"Loaded image: a:1\n"}`, ""},
		{`{"stream":"x"}` + "\n" + `{"errorDetail":{"message":"no space left"},"error":"no space left"}`, "no space left"},
		{"", ""},
		{"not JSON", "reading the engine's answer"},
	} {
		err := loadError(strings.NewReader(test.answer))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %q", test.answer, err, test.want)
		}
	}
}

func TestTail(t *testing.T) {
	var got tail
	for range 3 {
		fmt.Fprint(&got, strings.Repeat("a", tailSize-1), "b")
	}
	if len(got) != tailSize || got[tailSize-1] != 'b' {
		t.Errorf("kept %d bytes", len(got))
	}
}
