package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPortFlags(t *testing.T) {
	for _, test := range []struct {
		flag string
		want PortMapping
	}{
		{"8080:80", PortMapping{80, 8080, "127.0.0.1", "TCP"}},
		{"8080:80@loadbalancer", PortMapping{80, 8080, "127.0.0.1", "TCP"}},
		{"0.0.0.0:8080:80/tcp@loadbalancer", PortMapping{80, 8080, "0.0.0.0", "TCP"}},
		{"[::1]:8443:443", PortMapping{443, 8443, "::1", "TCP"}},
		{"0:80", PortMapping{80, 0, "127.0.0.1", "TCP"}},
	} {
		c, err := FromFlags(Flags{Ports: []string{test.flag}}, testOptions())
		if err != nil {
			t.Errorf("%s: %v", test.flag, err)
			continue
		}
		if diff := cmp.Diff([]PortMapping{test.want}, c.Networking.LoadBalancerPorts); diff != "" {
			t.Errorf("%s: %s", test.flag, diff)
		}
	}
}

func TestBadPortFlags(t *testing.T) {
	for flag, want := range map[string]string{
		"":                   `--port: "" has no port of a Service`,
		"80":                 "--port: \"80\" has no port of the host",
		"8080:":              "has no port of a Service",
		"8080:0":             "has no port of a Service, from 1 to 65535, at its end",
		"70000:80":           "has no port of the host",
		"x:80":               "has no port of the host",
		"host:8080:80":       "begins with what is no IP address",
		"8080:80@server:0":   "is not of the load balancer; for ports of nodes there is extraPortMappings",
		"8080:80@agent:0":    "is not of the load balancer",
		"8080:80/udp":        "--port: only TCP is passed on, not UDP",
		"8080:80/quic":       `no protocol "quic"`,
		"8080:80/tcp/tcp@lb": "is not of the load balancer",
	} {
		if _, err := FromFlags(Flags{Ports: []string{flag}}, testOptions()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", flag, err, want)
		}
	}
}

func TestBalancerPorts(t *testing.T) {
	file := networking("loadBalancerPorts:\n- {containerPort: 80, hostPort: 8080}")
	c, err := Parse("f", []byte(file), Flags{Ports: []string{"8443:443"}}, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	want := []PortMapping{{80, 8080, "127.0.0.1", "TCP"}, {443, 8443, "127.0.0.1", "TCP"}}
	if diff := cmp.Diff(want, c.Networking.LoadBalancerPorts); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct {
		spec, want string
		flags      []string
	}{
		{"loadBalancerPorts:\n- {containerPort: 80, protocol: UDP}", "f:5:5: networking.loadBalancerPorts[0]: only TCP is passed on, not UDP", nil},
		{"loadBalancer: none\nloadBalancerPorts:\n- {containerPort: 80}", "with networking.loadBalancer none, nothing gives Services", nil},
		{"loadBalancer: metal", `networking.loadBalancer: must be default or none, not "metal"`, nil},
		{"apiServerPort: 8080\nloadBalancerPorts:\n- {containerPort: 80, hostPort: 8080}", "port 8080/TCP of the host is taken by networking.apiServerPort already", nil},
		{"apiServerPort: 8080", "--port: port 8080/TCP of the host is taken by networking.apiServerPort already", []string{"8080:80"}},
	} {
		_, err := Parse("f", []byte(networking(test.spec)), Flags{Ports: test.flags}, testOptions())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", test.spec, err, test.want)
		}
	}
}

// FuzzPort holds every flag to a complaint or a port that can be.
func FuzzPort(f *testing.F) {
	for _, s := range []string{"8080:80", "[::1]:1:2/tcp@loadbalancer", "a:b:c", "::", "@", "0:65535/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, complaint := parsePort(s)
		if complaint == "" && (m.ContainerPort < 1 || m.ContainerPort > 65535 || m.HostPort < 0 || m.HostPort > 65535) {
			t.Errorf("%q: %+v", s, m)
		}
	})
}
