package loadbalancer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func rendered(t *testing.T, c Config) []byte {
	t.Helper()
	text, err := Render(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var sameBackends = cmpopts.EquateComparable(Backend{})

func TestBackendsAreReadBack(t *testing.T) {
	for name, c := range configs {
		got, err := Backends(rendered(t, c))
		if diff := cmp.Diff(c.Backends, got, sameBackends); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// TestBackendsAreSet: a configuration with other backends is the one that Render makes.
func TestBackendsAreSet(t *testing.T) {
	for name, c := range configs {
		for other, o := range configs {
			want := c
			want.Backends = o.Backends
			got, err := SetBackends(rendered(t, c), o.Backends)
			if diff := cmp.Diff(string(rendered(t, want)), string(got)); err != nil || diff != "" {
				t.Errorf("%s with those of %s: %v\n%s", name, other, err, diff)
			}
		}
	}
}

func TestConfigurationsOfOthers(t *testing.T) {
	good := configs["one"].Backends
	for name, text := range map[string]string{
		"no section":          "listen api\n",
		"options of a server": "backend apiservers\n  server a 10.0.0.1:1 check\n",
		"a name":              "backend apiservers\n  server a b:1\n",
	} {
		if got, err := Backends([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, err := SetBackends([]byte("listen api\n"), good); err == nil {
		t.Error("backends were set nowhere")
	}
	if _, err := SetBackends(rendered(t, configs["one"]), nil); err == nil {
		t.Error("no backends were set")
	}
	if _, err := serverOptions([]byte("backend apiservers\n  server a 10.0.0.1:1\n")); err == nil {
		t.Error("no error without options")
	}
}
