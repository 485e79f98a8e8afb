package registries

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHelperTellsOnlyTheUpstream runs the credential helper as distribution does.
func TestHelperTellsOnlyTheUpstream(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(secret, []byte("the user's"), 0o600); err != nil {
		t.Fatal(err)
	}
	for upstream, hosts := range map[Spec]map[string]bool{
		Cache("docker.io", ""):                           {"registry-1.docker.io": true, "auth.docker.io": true, "https://auth.docker.io/token": true, "evil.example": false, "notdocker.io": false},
		Cache("ghcr.io", ""):                             {"ghcr.io": true, "ghcr.io:443": true, "evil.io": false, "ghcr.io.evil.example": false, "": false},
		Cache("registry.x.co.uk", ""):                    {"auth.x.co.uk": true, "y.co.uk": false},
		Cache("up.example:5000", "http://10.0.0.7:5000"): {"10.0.0.7:5000": true, "10.0.0.7": true, "10.0.0.8": false, "evil.10.0.0.7": false},
	} {
		for host, want := range hosts {
			script := filepath.Join(t.TempDir(), "helper")
			if err := os.WriteFile(script, helperOf(upstream, secret), 0o700); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "sh", script, "get")
			cmd.Stdin = strings.NewReader(host)
			out, err := cmd.CombinedOutput()
			if told := string(out) == "the user's"; err != nil || told != want {
				t.Errorf("%s, asked for %q: %s, %v", upstream.URL, host, out, err)
			}
		}
	}
}
