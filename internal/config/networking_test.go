package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func networking(lines string) string {
	return kluster("networking:\n  " + strings.ReplaceAll(lines, "\n", "\n  ") + "\n")
}

func TestSubnets(t *testing.T) {
	for _, test := range []struct{ name, spec, pods, services, nodes string }{
		{"default", "ipFamily: ipv4", "10.244.0.0/16", "10.96.0.0/16", ""},
		{"ipv6", "ipFamily: ipv6", "fd00:10:244::/56", "fd00:10:96::/112", ""},
		{"dual", "ipFamily: dual", "10.244.0.0/16 fd00:10:244::/56", "10.96.0.0/16 fd00:10:96::/112", ""},
		{"dual, IPv6 first", "ipFamily: dual\nserviceSubnet: fd01::/112,10.1.0.0/16", "fd00:10:244::/56 10.244.0.0/16", "fd01::/112 10.1.0.0/16", ""},
		{"dual, one given", "ipFamily: dual\npodSubnet: 10.1.0.0/16", "10.1.0.0/16 fd00:10:244::/56", "10.96.0.0/16 fd00:10:96::/112", ""},
		{"dual, the second given", "ipFamily: dual\npodSubnet: fd01::/56\nserviceSubnet: 10.1.0.0/16,fd02::/112", "10.244.0.0/16 fd01::/56", "10.1.0.0/16 fd02::/112", ""},
		{"host bits", "podSubnet: 10.1.2.3/16", "10.1.0.0/16", "10.96.0.0/16", ""},
		{"nodes", "nodeSubnet: 172.30.0.0/29", "10.244.0.0/16", "10.96.0.0/16", "172.30.0.0/29"},
		{"spaces", "ipFamily: dual\nnodeSubnet: 172.30.0.0/29, fd09::/64", "10.244.0.0/16 fd00:10:244::/56", "10.96.0.0/16 fd00:10:96::/112", "172.30.0.0/29 fd09::/64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Parse("f", []byte(networking(test.spec)), Flags{}, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, list := range []any{c.Networking.PodSubnets, c.Networking.ServiceSubnets, c.Networking.NodeSubnets} {
				got = append(got, strings.Trim(fmt.Sprint(list), "[]"))
			}
			if diff := cmp.Diff([]string{test.pods, test.services, test.nodes}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadNetworking(t *testing.T) {
	for _, test := range []struct{ spec, want string }{
		{"podSubnet: 10.244.0.0", `podSubnet: "10.244.0.0" is not a subnet`},
		{"podSubnet: ::ffff:10.0.0.0/112", "is not a subnet"},
		{"podSubnet: fd00::/56", "podSubnet: the subnet is not of ipFamily ipv4"},
		{"podSubnet: 10.1.0.0/16,fd00::/56", "podSubnet: two subnets need ipFamily dual (set networking.ipFamily to dual)"},
		{"ipFamily: dual\npodSubnet: 10.1.0.0/16,10.2.0.0/16", "podSubnet: must be one subnet, or one of each family"},
		{"ipFamily: dual\nnodeSubnet: 172.30.0.0/24", "nodeSubnet: ipFamily dual needs one subnet of each family"},
		{"ipFamily: dual\npodSubnet: 10.1.0.0/16,fd00::/56\nserviceSubnet: fd01::/112,10.2.0.0/16", "its families are in another order"},
		{"podSubnet: 10.96.0.0/12", "10.96.0.0/16 overlaps 10.96.0.0/12 of networking.podSubnet"},
		{"nodeSubnet: 10.244.3.0/24", "nodeSubnet: 10.244.3.0/24 overlaps 10.244.0.0/16 of networking.podSubnet"},
		{"podSubnet: 10.0.0.0/7", "podSubnet: 10.0.0.0/7 is too large: with a /24 for each node it must be /8 or smaller"},
		{"podSubnet: 10.0.0.0/25", "podSubnet: 10.0.0.0/25 is too small: 1 of a /24 are needed"},
		{"podSubnet: 127.0.0.0/16", "127.0.0.0/16 is the loopback subnet"},
		{"podSubnet: 0.0.0.0/0", "0.0.0.0/0 cannot be a cluster's"},
		{"serviceSubnet: 10.0.0.0/11", "serviceSubnet: 10.0.0.0/11 is too large: it must be /12 or smaller"},
		{"serviceSubnet: 10.0.0.0/29", "serviceSubnet: 10.0.0.0/29 is too small: it must be /28 or larger"},
		{"nodeSubnet: 172.30.0.0/30", "nodeSubnet: 172.30.0.0/30 is too small: 5 addresses are needed"},
		{"apiServerPort: 70000", "apiServerPort: must be from 1 to 65535, not 70000"},
		{"kubeProxyMode: ipvs", "kubeProxyMode: must be iptables, nftables or none"},
	} {
		t.Run(test.spec, func(t *testing.T) {
			_, err := Parse("f", []byte(networking(test.spec)), Flags{}, testOptions())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestHostPorts(t *testing.T) {
	const api = "networking: {apiServerPort: 6443}\n"
	for _, test := range []struct{ name, spec, want string }{
		{"free ones", "nodes: [{extraPortMappings: [{containerPort: 1}, {containerPort: 1}]}]", ""},
		{"protocols", "nodes: [{extraPortMappings: [{containerPort: 1, hostPort: 80}, {containerPort: 1, hostPort: 80, protocol: udp}]}]", ""},
		{"addresses", "nodes: [{extraPortMappings: [{containerPort: 1, hostPort: 80}, {containerPort: 1, hostPort: 80, listenAddress: 127.0.0.9}]}]", ""},
		{
			"twice", "nodes: [{extraPortMappings: [{containerPort: 1, hostPort: 80}]}, {role: worker, extraPortMappings: [{containerPort: 1, hostPort: 80}]}]",
			"nodes[1].extraPortMappings[0].hostPort: port 80/TCP of the host is taken by nodes[0].extraPortMappings[0].hostPort already",
		},
		{"everywhere", "nodes: [{extraPortMappings: [{containerPort: 1, hostPort: 80}, {containerPort: 1, hostPort: 80, listenAddress: '::'}]}]", "taken by"},
		{"the API's", api + "nodes: [{extraPortMappings: [{containerPort: 1, hostPort: 6443}]}]", "taken by networking.apiServerPort already"},
		{"count", "nodes: [{}, {role: worker, count: 2, extraPortMappings: [{containerPort: 1, hostPort: 80}]}]", "2 nodes cannot share port 80 of the host"},
		{"count, free", "nodes: [{}, {role: worker, count: 2, extraPortMappings: [{containerPort: 1}]}]", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("f", []byte(kluster(test.spec)), Flags{}, testOptions())
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}
