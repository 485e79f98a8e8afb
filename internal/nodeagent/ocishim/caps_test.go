package ocishim

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBounding(t *testing.T) {
	may := bounding("Name:\tx\nCapBnd:\t000001fffeffffff\n") // all but SYS_RESOURCE
	for name, want := range map[string]bool{
		"CAP_CHOWN": true, "CAP_SYS_RESOURCE": false, "CAP_CHECKPOINT_RESTORE": true, "CAP_OF_TOMORROW": true,
	} {
		if may(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	for _, status := range []string{"", "CapBnd:\tx\n"} {
		if !bounding(status)("CAP_SYS_RESOURCE") {
			t.Errorf("%q takes a capability away", status)
		}
	}
}

func TestCapabilitiesThatTheNodeLacks(t *testing.T) {
	const process = `{"args":["sh"],"capabilities":{"bounding":["CAP_CHOWN","CAP_SYS_RESOURCE"],"effective":["CAP_SYS_RESOURCE"],"ambient":null}}`
	const want = `{"args":["sh"],"capabilities":{"bounding":["CAP_CHOWN"],"effective":[],"ambient":null}}`
	limits := Limits{Capability: func(name string) bool { return name != "CAP_SYS_RESOURCE" }}
	got, err := adaptProcess([]byte(process), limits)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decode(t, want), decode(t, string(got))); diff != "" {
		t.Error(diff)
	}
	if got, err = adapt([]byte(`{"process":`+process+`}`), limits); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decode(t, `{"process":`+want+`}`), decode(t, string(got))); diff != "" {
		t.Error("of a container:", diff)
	}
	if got, err = adaptProcess([]byte(want), limits); err != nil || got != nil {
		t.Errorf("nothing to change, yet %s, %v", got, err)
	}
}

func TestProcess(t *testing.T) {
	for _, tc := range []struct {
		args []string
		file string
		ok   bool
	}{
		{[]string{"--root=/r", "exec", "--process", "/p", "--detach", "id"}, "/p", true},
		{[]string{"--root", "/r", "exec", "-p=/p", "id"}, "/p", true},
		{[]string{"exec", "id", "sh"}, "", false},
		{[]string{"create", "--bundle", "/b", "id"}, "", false},
	} {
		if file, ok := Process(tc.args); file != tc.file || ok != tc.ok {
			t.Errorf("%q: got %q, %t", tc.args, file, ok)
		}
	}
}

func TestAdaptProcessRewritesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "process.json")
	if err := os.WriteFile(file, []byte(`{"oomScoreAdj":-5}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := AdaptProcess(file, Limits{NoSysResource: true, Rlimit: hardLimit}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != `{"oomScoreAdj":0}` {
		t.Errorf("%s, %v", got, err)
	}
}
