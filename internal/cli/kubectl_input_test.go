package cli

import (
	"strings"
	"testing"
)

func TestWantsInput(t *testing.T) {
	for args, want := range map[string]bool{
		"":                                     false,
		"get pods -o wide":                     false,
		"get pods -l app=x -A":                 false,
		"exec pod -- cat":                      false,
		"exec pod -t -- cat -":                 false,
		"exec pod -- sh -i":                    false,
		"exec -i=false pod -- cat":             false,
		"exec -i pod -- cat":                   true,
		"exec pod -it -c app -- sh":            true,
		"exec pod -ti -- sh":                   true,
		"run x --stdin --image i":              true,
		"run x -qi --image i":                  true,
		"delete pod x --interactive":           true,
		"apply -f -":                           true,
		"apply -f-":                            true,
		"apply -f=-":                           true,
		"apply --filename=- --server-side":     true,
		"apply --server-side --filename -":     true,
		"create cm x --from-file=/dev/stdin":   true,
		"create cm x --from-file=a=/dev/stdin": true,
		"create secret generic x --from-env-file=/dev/fd/0": true,
	} {
		if got := wantsInput(strings.Fields(args)); got != want {
			t.Errorf("kubectl %s: %v, want %v", args, got, want)
		}
	}
}
