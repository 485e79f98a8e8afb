package apiproxy

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRedirectRules(t *testing.T) {
	for own, rule := range map[string]string{
		"172.20.0.2:6443": "meta mark != 0x6b6c ip daddr 172.20.0.2 tcp dport 6443 redirect to :16443",
		"[fd00::2]:6443":  "meta mark != 0x6b6c ip6 daddr fd00::2 tcp dport 6443 redirect to :16443",
	} {
		want := `table inet kluster-wait
delete table inet kluster-wait
table inet kluster-wait {
	chain output {
		type nat hook output priority -100; policy accept;
		` + rule + `
	}
}
`
		if diff := cmp.Diff(want, redirectRules(netip.MustParseAddrPort(own), 16443)); diff != "" {
			t.Error(diff)
		}
	}
}
