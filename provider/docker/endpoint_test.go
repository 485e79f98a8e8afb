package docker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/kluster-project/kluster/provider"
)

func TestEndpointLocal(t *testing.T) {
	for host, want := range map[string]bool{
		"unix:///var/run/docker.sock":     true,
		"npipe:////./pipe/docker_engine":  true,
		"tcp://127.0.0.1:2375":            true,
		"tcp://localhost:2375":            true,
		"tcp://[::1]:2376":                true,
		"tcp://0.0.0.0:2375":              true,
		"tcp://10.0.0.7:2375":             false,
		"tcp://docker:2375":               false,
		"tcp://localhost.example.com:1":   false,
		"ssh://user@127.0.0.1":            false,
		"fd://":                           false,
		"nonsense":                        false,
		"tcp://u:secret@build.invalid:22": false,
	} {
		t.Run(host, func(t *testing.T) {
			end := endpoint{host: host, from: "DOCKER_HOST"}
			if got := end.local(); got != want {
				t.Fatalf("local is %t, want %t", got, want)
			}
			err := end.refuseRemote()
			if (err == nil) != want {
				t.Fatalf("got error %v", err)
			}
			if err != nil && (!errors.Is(err, provider.ErrUnavailable) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("got %q", err)
			}
		})
	}
}

func TestResolveEndpoint(t *testing.T) {
	dir := t.TempDir()
	writeContext(t, dir, "mine", "unix:///run/user/1000/docker.sock")
	writeContext(t, dir, "far", "ssh://build.invalid")
	for _, test := range []struct {
		name, host, context, current string
		want, from                   string
	}{
		{"nothing set", "", "", "", client.DefaultDockerHost, "the default"},
		{"current context", "", "", "mine", "unix:///run/user/1000/docker.sock", `docker context "mine"`},
		{"DOCKER_CONTEXT wins over it", "", "far", "mine", "ssh://build.invalid", `docker context "far"`},
		{"DOCKER_CONTEXT default", "", "default", "mine", client.DefaultDockerHost, "the default"},
		{"DOCKER_HOST wins over all", "unix:///x", "far", "mine", "unix:///x", "DOCKER_HOST"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("DOCKER_CONFIG", dir)
			t.Setenv("DOCKER_HOST", test.host)
			t.Setenv("DOCKER_CONTEXT", test.context)
			t.Setenv("DOCKER_TLS_VERIFY", "")
			t.Setenv("DOCKER_CERT_PATH", "")
			got, err := resolveEndpoint(&configfile.ConfigFile{CurrentContext: test.current})
			if err != nil {
				t.Fatal(err)
			}
			if got.host != test.want || got.from != test.from {
				t.Errorf("got %q from %s, want %q from %s", got.host, got.from, test.want, test.from)
			}
		})
	}
	t.Run("unknown context", func(t *testing.T) {
		t.Setenv("DOCKER_CONFIG", dir)
		t.Setenv("DOCKER_HOST", "")
		t.Setenv("DOCKER_CONTEXT", "missing")
		_, err := resolveEndpoint(&configfile.ConfigFile{})
		if !errors.Is(err, provider.ErrUnavailable) || !strings.Contains(err.Error(), `"missing"`) {
			t.Errorf("got %v", err)
		}
	})
}

// writeContext writes a docker context as the docker command does.
func writeContext(t *testing.T, dir, name, host string) {
	t.Helper()
	folder := filepath.Join(dir, "contexts", "meta", contextHash(name))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"Name":%q,"Metadata":{},"Endpoints":{"docker":{"Host":%q,"SkipTLSVerify":false}}}`, name, host)
	if err := os.WriteFile(filepath.Join(folder, "meta.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// contextHash is the folder that the docker command keeps a context in.
func contextHash(name string) string { return digest.FromString(name).Encoded() }

func TestProxyEnv(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"} {
		t.Setenv(name, "")
	}
	t.Setenv("https_proxy", "http://env:3128")
	t.Setenv("HTTP_PROXY", "http://env:3128")
	file := &configfile.ConfigFile{Proxies: map[string]configfile.ProxyConfig{
		"default": {HTTPProxy: "http://file:3128"},
	}}
	want := map[string]string{"HTTP_PROXY": "http://file:3128", "HTTPS_PROXY": "http://env:3128"}
	if diff := cmp.Diff(want, proxyEnv(file, "unix:///x")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
