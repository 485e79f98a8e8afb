package ipam

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const given = `{"cniVersion":"1.0.0","name":"kluster","type":"ptp","mtu":1500,"ipam":{"type":"kluster-ipam"}}`

func TestDelegate(t *testing.T) {
	const dual = `{"ranges":["10.244.1.0/24","fd00:10:244:1::/64"],"mtu":1500}`
	const rewritten = `{"cniVersion":"1.0.0","name":"kluster","type":"ptp","mtu":1500,"ipam":{
		"type":"host-local","dataDir":"/run/cni-ipam-state",
		"ranges":[[{"subnet":"10.244.1.0/24"}],[{"subnet":"fd00:10:244:1::/64"}]],
		"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}}`
	for _, tc := range []struct {
		name, command, file string
		want                string // "" is: nothing to call
		noRanges            bool
	}{
		{name: "add", command: "ADD", file: dual, want: rewritten},
		{name: "del", command: "DEL", file: dual, want: rewritten},
		{name: "check", command: "CHECK", file: dual, want: rewritten},
		{name: "version needs no ranges", command: "VERSION", want: given},
		{name: "del without ranges succeeds at once", command: "DEL"},
		{name: "check without ranges fails", command: "CHECK", noRanges: true},
		{name: "add gives up in the end", command: "ADD", noRanges: true},
		{name: "damaged file", command: "DEL", file: "{", noRanges: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ranges.json")
			if tc.file != "" {
				if err := os.WriteFile(file, []byte(tc.file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*poll)
			defer cancel()
			got, ok, err := Delegate(ctx, Request{Command: tc.command, Config: []byte(given), NetworkFile: file})
			var missing *ErrNoRanges
			if errors.As(err, &missing) != tc.noRanges || ok != (tc.want != "") {
				t.Fatalf("ok %v, error %v", ok, err)
			}
			if tc.want != "" {
				if diff := cmp.Diff(decode(t, tc.want), decode(t, string(got))); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func decode(t *testing.T, text string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// The ranges appear while a pod is waiting for its address.
func TestAddWaits(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ranges.json")
	type answer struct {
		ok  bool
		err error
	}
	done := make(chan answer)
	go func() {
		_, ok, err := Delegate(t.Context(), Request{Command: "ADD", Config: []byte(given), NetworkFile: file})
		done <- answer{ok, err}
	}()
	temp := filepath.Join(dir, "new")
	if err := os.WriteFile(temp, []byte(`{"ranges":["10.244.1.0/24"]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, file); err != nil {
		t.Fatal(err)
	}
	if got := <-done; !got.ok || got.err != nil {
		t.Errorf("%+v", got)
	}
}
