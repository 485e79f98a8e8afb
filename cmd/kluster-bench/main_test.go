package main

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	// What "make bench" passes when nothing is set.
	f, err := parse([]string{"-kluster", "bin/kluster", "-kind", "", "-kind-image", "", "-json", "bin/bench.json"})
	if err != nil || f.rounds != 3 || f.kluster != "bin/kluster" || f.json != "bin/bench.json" {
		t.Errorf("got %+v, %v", f, err)
	}
	for want, args := range map[string][]string{
		"go together":      {"-kind", "kind"},
		"at least 1":       {"-n", "0"},
		`unknown argument`: {"1,3"},
		"not defined":      {"-nodes", "3"},
		"is for -runtimes": {"-oci-runtimes", "crun"},
		"and -load":        {"-image", "x"},
		"nothing else":     {"-runtimes", "all", "-only", "1"},
		"one of them":      {"-runtimes", "all", "-load", "all"},
		"0 pods at once":   {"-runtimes", "all", "-burst", "0"},
	} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}

// TestUnknownCase sees that a wrong -only is told before anything is asked or made.
func TestUnknownCase(t *testing.T) {
	if err := run(t.Context(), flags{only: "2", rounds: 1}); err == nil || !strings.Contains(err.Error(), `"2" is none of floor, 1,`) {
		t.Errorf("got %v", err)
	}
	if err := run(t.Context(), flags{runtimes: "rkt", rounds: 1}); err == nil || !strings.Contains(err.Error(), `"rkt" is none of the container runtimes`) {
		t.Errorf("got %v", err)
	}
}
