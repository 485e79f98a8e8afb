package suggest

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"control-plane", "worker", "workers", "cni"}
	for _, test := range []struct{ written, want string }{
		{"controlplane", "control-plane"},
		{"WORKER", "worker"},
		{"wroker", "worker"},
		{"workerss", "workers"},
		{"workes", "worker"}, // as near to both: the first
		{"cno", "cni"},
		{"cox", ""},
		{"etcd", ""},
		{"", ""},
	} {
		if got := Nearest(test.written, known); got != test.want {
			t.Errorf("%q: got %q, want %q", test.written, got, test.want)
		}
	}
	if got := Nearest("worker", nil); got != "" {
		t.Errorf("of no words, %q is near", got)
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"a", "", 1},
		{"", "ab", 2},
		{"abc", "abc", 0},
		{"abc", "abd", 1},
		{"abc", "acb", 1},
		{"node", "nodes", 1},
		{"mane", "name", 2},
		{"wait", "retain", 4},
		{"kitten", "sitting", 3},
	} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
