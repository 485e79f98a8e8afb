package ipam

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/kluster-project/kluster/internal/nodeagent/netpol"
)

// Start reads which pod got which addresses: the pod from CNI_ARGS ("K=V;K=V", in
// which every runtime names it), the addresses from the plugin's result.
func Start(args string, result []byte) (netpol.Start, error) {
	var s netpol.Start
	for _, field := range []struct {
		key string
		to  *string
	}{{"K8S_POD_NAMESPACE", &s.Namespace}, {"K8S_POD_NAME", &s.Pod}, {"K8S_POD_UID", &s.UID}} {
		for word := range strings.SplitSeq(args, ";") {
			if value, ok := strings.CutPrefix(word, field.key+"="); ok {
				*field.to = value
			}
		}
	}
	var got struct {
		IPs []struct {
			Address netip.Prefix `json:"address"`
		} `json:"ips"`
	}
	if err := json.Unmarshal(result, &got); err != nil {
		return s, fmt.Errorf("reading the pod's addresses: %w", err)
	}
	for _, ip := range got.IPs {
		s.Addrs = append(s.Addrs, ip.Address.Addr())
	}
	return s, nil
}
