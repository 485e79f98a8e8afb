package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

func TestCreateOnAFullDisk(t *testing.T) {
	for free, fits := range map[int64]bool{0: true, 1e6: false, 449e6: false, 450e6: true} {
		c := &creation{cfg: wanted(t, "c", 3).Config, host: provider.Host{DataFree: free}}
		c.cfg.Nodes[0].Role, c.cfg.Nodes[1].Role, c.cfg.Nodes[2].Role = nodespec.RoleControlPlane, nodespec.RoleControlPlane, nodespec.RoleWorker
		err := c.checkDisk()
		if (err == nil) != fits || err != nil && (!errors.Is(err, provider.ErrNoSpace) || failure.Code(err) != failure.CodeHost) {
			t.Errorf("%d bytes free: %v", free, err)
		}
	}
}

// filling is an engine whose disk is full from the first start of a machine on.
type filling struct {
	provider.Provider
	full  atomic.Bool
	start error // what a start then gives; nil if it does not end by itself
}

func (f *filling) StartNode(ctx context.Context, _ string) error {
	f.full.Store(true)
	if f.start == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.start
}

func (f *filling) Host(ctx context.Context) (provider.Host, error) {
	host, err := f.Provider.Host(ctx)
	if f.full.Load() {
		host.DataFree = 1
	}
	return host, err
}

func TestCreateWhoseDiskFills(t *testing.T) {
	for name, test := range map[string]struct {
		start error
		says  string
	}{
		"and nothing gets anywhere":    {nil, "the engine's disk is full: 0.0 MB are free below"},
		"and a start fails":            {errors.New("strange words"), "strange words"},
		"and a start says why it does": {fmt.Errorf("start: %w", provider.ErrNoSpace), "start: the engine's disk is full"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				f := &filling{Provider: l, start: test.start}
				opt := l.create(t, "c")
				opt.Wait = time.Hour
				began := time.Now()
				_, err := l.manager(t, f).Create(t.Context(), opt)
				if !errors.Is(err, provider.ErrNoSpace) || failure.Code(err) != failure.CodeHost || !strings.Contains(err.Error(), test.says) {
					t.Errorf("code %d, err = %v", failure.Code(err), err)
				}
				if hints := failure.Hints(err); len(hints) == 0 || !strings.HasPrefix(hints[0], "make room below /var/lib/fake") {
					t.Errorf("hints %q", hints)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("took %v", took)
				}
				l.checkGone(t, "c")
			})
		})
	}
}
