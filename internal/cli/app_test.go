package cli

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
)

func TestConnectGivesUpOnASilentEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := quietApp()
		a.deps.Connect = func(ctx context.Context) (provider.Provider, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		_, err := a.manager(t.Context())
		if !errors.Is(err, provider.ErrUnavailable) || failure.Code(explain(err)) != failure.CodeHost {
			t.Errorf("err = %v, want one that says that the engine is not available", err)
		}
	})
}
