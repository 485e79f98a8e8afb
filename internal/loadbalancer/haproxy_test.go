package loadbalancer

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kluster-project/kluster/internal/golden"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/pki"
)

func backend(name, addr string) Backend {
	return Backend{Name: name, Addr: netip.MustParseAddrPort(addr)}
}

var configs = map[string]Config{
	"one":   {Port: nodespec.APIPort, Backends: []Backend{backend("a-control-plane-1", "172.28.0.3:6443")}},
	"three": {Port: nodespec.APIPort, Backends: []Backend{backend("a", "172.28.0.3:6443"), backend("b", "172.28.0.4:6443"), backend("c", "172.28.0.5:6443")}},
	"services": {Port: nodespec.APIPort, Backends: []Backend{backend("a", "172.28.0.3:6443")}, Services: []Service{
		{Listen: 20000, Port: 80, Addrs: []netip.Addr{netip.MustParseAddr("172.28.0.128"), netip.MustParseAddr("172.28.0.129")}},
		{Listen: 20001, Port: 80, Addrs: []netip.Addr{netip.MustParseAddr("fd00:1::ff00")}},
	}},
	"ipv6": {Port: nodespec.APIPort, IPv6: true, Backends: []Backend{backend("a", "[fd00:1::3]:6443"), backend("b", "[fd00:1::4]:6443")}},
}

func TestRenderGolden(t *testing.T) {
	for name, c := range configs {
		t.Run(name, func(t *testing.T) {
			got, err := Render(c)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, filepath.Join("testdata", name+".golden"), string(got))
		})
	}
}

func TestRenderErrors(t *testing.T) {
	for name, c := range map[string]Config{
		"no backends":             {Port: 1},
		"no address":              {Port: 1, Backends: []Backend{{Name: "a"}}},
		"no address of a Service": {Port: 1, Backends: []Backend{backend("a", "10.0.0.1:1")}, Services: []Service{{Listen: 2, Port: 80}}},
		"no name":                 {Port: 1, Backends: []Backend{{Addr: netip.MustParseAddrPort("10.0.0.1:1")}}},
	} {
		if got, err := Render(c); err == nil {
			t.Errorf("%s: no error, but\n%s", name, got)
		}
	}
}

// haproxy finds the program, or skips the test.
func haproxy(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skipf("haproxy is not installed: %v", err)
	}
	return path
}

// TestHAProxyTakesIt lets haproxy check what is rendered.
func TestHAProxyTakesIt(t *testing.T) {
	bin := haproxy(t)
	ca, err := pki.New(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range configs {
		t.Run(name, func(t *testing.T) {
			c.CAFile = filepath.Join(t.TempDir(), "ca.crt")
			if err := os.WriteFile(c.CAFile, ca.CACertificate(), 0o644); err != nil {
				t.Fatal(err)
			}
			file := writeConfig(t, c)
			out, err := exec.CommandContext(t.Context(), bin, "-c", "-dW", "-f", file).CombinedOutput()
			if err != nil {
				t.Errorf("haproxy -c: %v\n%s", err, out)
			}
		})
	}
}

func writeConfig(t *testing.T, c Config) string {
	t.Helper()
	text, err := Render(c)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNothingElse: haproxy serves what it is for, and tells and does what it may be asked
// for by a socket that is its own user's alone, and by no port.
func TestNothingElse(t *testing.T) {
	for name, c := range configs {
		got, err := Render(c)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(got)) {
			words := strings.Fields(line)
			if len(words) == 0 || line == "  stats socket "+Socket+" mode 600 level admin\n" {
				continue
			}
			if words[0] == "stats" || words[0] == "listen" || words[0] == "program" || words[0] == "http-request" {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}
