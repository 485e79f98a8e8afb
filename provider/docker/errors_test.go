package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/kluster-project/kluster/internal/failure"
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
		{daemon + "Error processing tar file(exit status 1): write /a: no space left on device", provider.ErrNoSpace},
	} {
		t.Run(test.text, func(t *testing.T) {
			cause := errors.New(test.text)
			got := explain(cause)
			if !errors.Is(got, cause) || strings.Contains(got.Error(), daemon) {
				t.Errorf("got %q", got)
			}
			for _, kind := range []error{
				provider.ErrSubnetTaken, provider.ErrNameTaken, provider.ErrPortTaken,
				provider.ErrNotFound, provider.ErrUnavailable, provider.ErrNoSpace,
			} {
				if errors.Is(got, kind) != errors.Is(test.kind, kind) {
					t.Errorf("is %q: %t", kind, errors.Is(got, kind))
				}
			}
		})
	}
}

func TestExplainByType(t *testing.T) {
	api, err := client.NewClientWithOpts(client.WithHost("unix://" + t.TempDir() + "/none"))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	_, noEngine := api.Ping(t.Context())
	for _, test := range []struct {
		name string
		err  error
		want error
		hint string
	}{
		{"missing", fmt.Errorf("No such image: a: %w", errdefs.ErrNotFound), provider.ErrNotFound, ""},
		{"no engine", noEngine, provider.ErrUnavailable, hintStart},
		{"no permission", unreachable(errors.New("dial unix /var/run/docker.sock: connect: permission denied")), provider.ErrUnavailable, hintGroup},
		{"interrupt", fmt.Errorf("x: %w", context.Canceled), context.Canceled, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := explain(test.err)
			if hint := strings.Join(failure.Hints(got), ""); !errors.Is(got, test.want) || hint != test.hint {
				t.Errorf("got %q with hint %q, want %q with hint %q", got, hint, test.want, test.hint)
			}
		})
	}
	if explain(nil) != nil {
		t.Error("no error became one")
	}
}
