// Package ipam is the CNI address plugin kluster-ipam. The CNI configuration is
// on disk before the node knows its pod ranges, so the plugin waits for the
// ranges and then lets the standard host-local plugin do the work.
package ipam

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/wait"
)

// dataDir holds host-local's leases. It is in memory: no pod outlives a restart
// of its node.
const dataDir = "/run/cni-ipam-state"

// poll is how often a waiting ADD looks for the ranges.
const poll = 50 * time.Millisecond

// Request is one call of the plugin.
type Request struct {
	Command string // CNI_COMMAND: ADD, DEL, CHECK, VERSION ...
	Config  []byte // the network configuration from stdin
	// NetworkFile is where the ranges appear.
	NetworkFile string
}

// ErrNoRanges says that the node did not learn its pod ranges in time.
type ErrNoRanges struct{ Err error }

func (e *ErrNoRanges) Error() string {
	return fmt.Sprintf("the node has no pod address ranges yet: %v", e.Err)
}

func (e *ErrNoRanges) Unwrap() error { return e.Err }

// Delegate makes the configuration to call host-local with. ok is false when
// there is nothing to call it for. ADD waits for the ranges until ctx ends.
func Delegate(ctx context.Context, r Request) (config []byte, ok bool, err error) {
	if r.Command == "VERSION" {
		return r.Config, true, nil
	}
	ranges, err := ranges(ctx, r)
	if err != nil {
		return nil, false, &ErrNoRanges{Err: err}
	}
	if len(ranges) == 0 {
		// The ranges and the leases are lost together, at a restart of the
		// node; there is nothing to give back.
		return nil, false, nil
	}
	config, err = rewrite(r.Config, ranges)
	return config, true, err
}

// ranges reads the node's pod ranges. Only ADD waits and CHECK insists; the
// others get none when there are none.
func ranges(ctx context.Context, r Request) ([]netip.Prefix, error) {
	for {
		ranges, err := readRanges(r.NetworkFile)
		switch {
		case err == nil || !os.IsNotExist(err):
			return ranges, err
		case r.Command == "CHECK":
			return nil, err
		case r.Command != "ADD":
			return nil, nil
		}
		if !wait.For(ctx, poll) {
			return nil, err
		}
	}
}

func readRanges(path string) ([]netip.Prefix, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file nodespec.PodRanges
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return file.Ranges, nil
}

// hostLocal is the configuration of the host-local plugin.
type hostLocal struct {
	Type    string    `json:"type"`
	DataDir string    `json:"dataDir"`
	Ranges  [][]entry `json:"ranges"`
	Routes  []route   `json:"routes"`
}

type entry struct {
	Subnet netip.Prefix `json:"subnet"`
}

type route struct {
	Dst netip.Prefix `json:"dst"`
}

// rewrite puts host-local in the place of the configuration's "ipam" and
// leaves all else as it was.
func rewrite(config []byte, ranges []netip.Prefix) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(config, &fields); err != nil {
		return nil, fmt.Errorf("reading the network configuration: %w", err)
	}
	local := hostLocal{Type: "host-local", DataDir: dataDir}
	for _, r := range ranges {
		any4, any6 := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
		local.Ranges = append(local.Ranges, []entry{{Subnet: r}})
		if r.Addr().Is4() {
			local.Routes = append(local.Routes, route{Dst: any4})
		} else {
			local.Routes = append(local.Routes, route{Dst: any6})
		}
	}
	raw, err := json.Marshal(local)
	if err != nil {
		return nil, fmt.Errorf("encoding the address configuration: %w", err)
	}
	fields["ipam"] = raw
	return json.Marshal(fields)
}
