package ipam

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kluster-project/kluster/internal/nodeagent/netpol"
)

func TestStart(t *testing.T) {
	const result = `{"cniVersion":"1.0.0","ips":[{"address":"10.244.1.7/24","gateway":"10.244.1.1"},{"address":"fd00:10:244:1::7/64"}]}`
	got, err := Start("IgnoreUnknown=1;K8S_POD_NAMESPACE=x;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c0;K8S_POD_UID=u", []byte(result))
	if err != nil {
		t.Fatal(err)
	}
	want := netpol.Start{Namespace: "x", Pod: "web", UID: "u", Addrs: []netip.Addr{
		netip.MustParseAddr("10.244.1.7"), netip.MustParseAddr("fd00:10:244:1::7"),
	}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if _, err := Start("", []byte("no JSON")); err == nil {
		t.Error("a result that cannot be read is taken")
	}
}
