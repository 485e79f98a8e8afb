package harness

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kluster-project/kluster/internal/pki"
)

// TestSeen: a key is seen in the forms that it is kept in, and a certificate of it is
// no secret.
func TestSeen(t *testing.T) {
	ca, err := pki.New(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	admin, err := ca.SuperAdmin()
	if err != nil {
		t.Fatal(err)
	}
	key, cert := string(admin.Key), string(admin.Certificate)
	encoded := base64.StdEncoding.EncodeToString(admin.Key)
	for name, file := range map[string]string{"file": key, "kubeconfig": "x:\n  client-key-data: " + encoded + "\n"} {
		found := secretsIn(file)
		if len(found) != 1 {
			t.Fatalf("%s: %d secrets", name, len(found))
		}
		var places []string
		for _, s := range Seen([]Secret{{"key", found[0]}}, []Place{
			{"plain", "a\n" + key},
			{"one line", strings.ReplaceAll(key, "\n", `\n`)},
			{"base64", "KEY=" + encoded},
			{"certificate", cert},
			{"its base64", base64.StdEncoding.EncodeToString([]byte(cert))},
			{"nothing", "-----BEGIN EC PRIVATE KEY-----"},
		}) {
			places = append(places, strings.TrimPrefix(s, "key in "))
		}
		if want := []string{"plain", "one line", "base64"}; !slices.Equal(places, want) {
			t.Errorf("%s: seen in %q, want %q", name, places, want)
		}
	}
	if found := secretsIn("keys:\n- name: kluster-1\n  secret: c2VjcmV0\n"); len(found) != 1 || found[0][0] != "c2VjcmV0" {
		t.Errorf("encryption: %q", found)
	}
}
