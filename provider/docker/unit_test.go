package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/kluster-project/kluster/provider"
)

func TestExplain(t *testing.T) {
	const daemon = "Error response from daemon: "
	for _, test := range []struct {
		text string
		kind error
	}{
		{daemon + "Pool overlaps with other one on this address space", provider.ErrSubnetTaken},
		{daemon + "invalid pool request: Pool overlaps with other one on this address space", provider.ErrSubnetTaken},
		{daemon + "cannot create network x (br-x): conflicts with network y (br-y): networks have overlapping IPv4", provider.ErrSubnetTaken},
		{daemon + `Conflict. The container name "/a" is already in use by container "1f". You have to remove`, provider.ErrNameTaken},
		{daemon + "network with name a already exists", provider.ErrNameTaken},
		{daemon + "driver failed: Bind for 127.0.0.1:80 failed: port is already allocated", provider.ErrPortTaken},
		{daemon + "driver failed: Error starting userland proxy: listen tcp4 127.0.0.1:80: bind: address already in use", provider.ErrPortTaken},
		{daemon + "failed to bind host port 127.0.0.1:80/tcp: address already in use", provider.ErrPortTaken},
		{daemon + "Address already in use", nil}, // a fixed address inside a network
		{daemon + "no space left on device", nil},
	} {
		t.Run(test.text, func(t *testing.T) {
			cause := errors.New(test.text)
			got := explain(cause)
			if !errors.Is(got, cause) || strings.Contains(got.Error(), daemon) {
				t.Errorf("got %q", got)
			}
			for _, kind := range []error{
				provider.ErrSubnetTaken, provider.ErrNameTaken, provider.ErrPortTaken,
				provider.ErrNotFound, provider.ErrUnavailable,
			} {
				if errors.Is(got, kind) != (kind == test.kind) {
					t.Errorf("is %q: %t", kind, errors.Is(got, kind))
				}
			}
		})
	}
}

func TestExplainByType(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want error
		hint string
	}{
		{"missing", fmt.Errorf("No such image: a: %w", errdefs.ErrNotFound), provider.ErrNotFound, "No such image"},
		{"no engine", client.ErrorConnectionFailed("unix:///x"), provider.ErrUnavailable, "systemctl start docker"},
		{"interrupt", fmt.Errorf("x: %w", context.Canceled), context.Canceled, "x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := explain(test.err)
			if !errors.Is(got, test.want) || !strings.Contains(got.Error(), test.hint) {
				t.Errorf("got %q, want %q in it and that it is %q", got, test.hint, test.want)
			}
		})
	}
	if explain(nil) != nil {
		t.Error("no error became one")
	}
}

func TestUnreachableHint(t *testing.T) {
	got := unreachable(errors.New("dial unix /var/run/docker.sock: connect: permission denied"))
	if !errors.Is(got, provider.ErrUnavailable) || !strings.Contains(got.Error(), "group docker") {
		t.Errorf("got %q", got)
	}
}

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

func TestParseMissing(t *testing.T) {
	for _, test := range []struct {
		name, bounding, last string
		want                 []string
	}{
		{"all", "000001ffffffffff", "40\n", nil},
		{"one less", "000001fffeffffff", "40\n", []string{"CAP_SYS_RESOURCE"}},
		{"older kernel", "0000003fffffffff", "37\n", nil},
		{"newer kernel", "000003ffffffffff", "41\n", nil},
		{"two less", "000001fffefffffe", "40\n", []string{"CAP_CHOWN", "CAP_SYS_RESOURCE"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := "Name:\tdockerd\nCapEff:\t0000000000000000\nCapBnd:\t" + test.bounding + "\nSeccomp:\t0\n"
			got, err := parseMissing([]byte(status), []byte(test.last))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, status := range []string{"", "Name:\tx\n", "CapBnd:\tzz\n"} {
		if _, err := parseMissing([]byte(status), []byte("40")); err == nil {
			t.Errorf("status %q was read", status)
		}
	}
}

func TestParseInnerPID(t *testing.T) {
	for text, want := range map[string]int{
		"NSpid:\t4321\t17\n":    17,
		"NSpid:\t4321\t80\t9\n": 9,
		"NSpid:\t4321\n":        0,
		"Name:\tx\n":            0,
	} {
		got, err := parseInnerPID([]byte(text))
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d and error %v, want %d", text, got, err, want)
		}
	}
}

func TestLoadError(t *testing.T) {
	for _, test := range []struct{ answer, want string }{
		{`{"stream":"Loaded image: a:1\n"}`, ""},
		{`{"stream":"x"}` + "\n" + `{"errorDetail":{"message":"no space left"},"error":"no space left"}`, "no space left"},
		{"", ""},
		{"not JSON", "reading the engine's answer"},
	} {
		err := loadError(strings.NewReader(test.answer))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %q", test.answer, err, test.want)
		}
	}
}

func TestTail(t *testing.T) {
	var got tail
	for range 3 {
		fmt.Fprint(&got, strings.Repeat("a", tailSize-1), "b")
	}
	if len(got) != tailSize || got[tailSize-1] != 'b' {
		t.Errorf("kept %d bytes", len(got))
	}
}

// contextHash is the folder that the docker command keeps a context in.
func contextHash(name string) string { return digest.FromString(name).Encoded() }
