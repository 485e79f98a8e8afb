package config

import "testing"

func TestNearestOrAll(t *testing.T) {
	known := []string{"control-plane", "worker"}
	for _, test := range []struct{ written, want string }{
		{"controlplane", `did you mean "control-plane"?`},
		{"WORKER", `did you mean "worker"?`},
		{"wroker", `did you mean "worker"?`},
		{"", "known: control-plane, worker"},
		{"etcd", "known: control-plane, worker"},
	} {
		if got := nearestOrAll(test.written, known); got != test.want {
			t.Errorf("%q: got %s, want %s", test.written, got, test.want)
		}
	}
}
