package doctor

import (
	"context"
	"fmt"

	"github.com/kluster-project/kluster/provider"
)

// examination is one run over a host: what all checks share.
type examination struct {
	host   Host
	engine provider.Provider
	info   provider.Host
	err    error // why the engine could not be asked
}

// finding is a Check without its name.
type finding struct {
	level         Level
	value, advice string
}

func ok(format string, args ...any) finding { return finding{OK, fmt.Sprintf(format, args...), ""} }

// unknown is for what cannot be told without an engine, which is a failed check
// of its own.
var unknown = finding{Warn, "not known", "make the engine reachable first"}

// Examine runs every check. Only the context's end stops it early; what cannot
// be found out is a finding too.
func Examine(ctx context.Context, host Host) ([]Check, error) {
	e := &examination{host: host}
	if e.engine, e.err = host.Connect(ctx); e.err == nil {
		e.info, e.err = e.engine.Host(ctx)
	}
	found := make([]Check, 0, len(checks))
	for _, c := range checks {
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("examining the host: %w", err)
		}
		f := c.look(e, ctx)
		found = append(found, Check{Name: c.name, Level: f.level, Value: f.value, Advice: f.advice})
	}
	return found, nil
}
