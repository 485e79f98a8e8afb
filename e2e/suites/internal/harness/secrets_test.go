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
		for _, s := range Seen([]Secret{{Name: "key", Forms: found[0]}}, []Place{
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

// TestShapes: what nobody can list beforehand is seen by its look, and what only resembles
// it is not.
func TestShapes(t *testing.T) {
	for _, planted := range Planted {
		if seen := Seen(shapes, []Place{{"it", "before " + planted.Text + " after"}}); !slices.Equal(seen, []string{planted.Name + " in it"}) {
			t.Errorf("%s: seen %q", planted.Name, seen)
		}
	}
	for name, text := range map[string]string{
		"two parts of a token":   "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzIn0",
		"a digest":               "registry.k8s.io/pause@sha256:0123456789abcdef0123456789abcdef",
		"a URL with a port":      "http://proxy.example:3128/path@version https://127.0.0.1:2379,https://[::1]:2379",
		"a user alone":           "http://user@proxy.example:3128",
		"what is left out":       `{"auths":{"r.example":{"auth":"[redacted]"}}} http://user:[redacted]`,
		"a name of a permission": `"auth": true, "authorization": "Node,RBAC"`,
	} {
		if seen := Seen(shapes, []Place{{name, text}}); len(seen) > 0 {
			t.Errorf("%s: seen %q", name, seen)
		}
	}
}
