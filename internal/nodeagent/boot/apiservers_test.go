package boot

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPIServersAreRecordedAndTold(t *testing.T) {
	for _, network := range []bool{false, true} {
		m, kernel, _ := swappable(t, "containerd")
		m.Node.APIServers = []string{"10.0.0.2:6443"}
		before := len(kernel.calls)
		want := []string{"10.0.0.2:6443", "10.0.0.3:6443"}
		if err := RecordAPIServers(m, want); err != nil {
			t.Fatal(err)
		}
		got, err := ReadNode(m.Root)
		if diff := cmp.Diff(want, got.APIServers); err != nil || diff != "" || got.Name != "n" {
			t.Errorf("%+v, %v: %s", got, err, diff)
		}
		if err := TellAPIServers(t.Context(), m, network); err != nil {
			t.Fatal(err)
		}
		calls := kernel.calls[before:]
		if !slices.Contains(calls, "systemctl try-reload-or-restart kluster-api-proxy.service") ||
			slices.Contains(calls, "systemctl try-restart kluster-network.service") != network {
			t.Errorf("network %v: %q", network, calls)
		}
	}
}
