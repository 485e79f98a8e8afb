package config

import "testing"

func TestSuggest(t *testing.T) {
	known := []string{"control-plane", "worker"}
	for _, test := range []struct{ written, want string }{
		{"controlplane", `did you mean "control-plane"?`},
		{"WORKER", `did you mean "worker"?`},
		{"wroker", `did you mean "worker"?`},
		{"", "known: control-plane, worker"},
		{"etcd", "known: control-plane, worker"},
	} {
		if got := suggest(test.written, known); got != test.want {
			t.Errorf("%q: got %s, want %s", test.written, got, test.want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "abc", 0}, {"abc", "abd", 1},
		{"abc", "acb", 1}, {"kitten", "sitting", 3},
	} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
