package doctor

import (
	"context"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// oldestGo is the first Go release that builds every component.
var oldestGo = semver.MustParse("1.26.0")

// Programs are needed only to build node images, so that their absence is no
// failure: clusters of images that are there can be made.

func (e *examination) goToolchain(ctx context.Context) finding {
	const advice = "to build node images, install Go 1.26 or newer"
	if _, err := e.host.LookPath("go"); err != nil {
		return finding{Warn, "not found", advice}
	}
	out, err := e.host.Command(ctx, "go", "env", "GOVERSION")
	version := strings.TrimPrefix(strings.TrimSpace(out), "go")
	if err != nil {
		return finding{Warn, "go env: " + firstLine(err.Error()), advice}
	}
	if v, err := semver.NewVersion(version); err == nil && v.LessThan(oldestGo) {
		return finding{Warn, version, advice}
	}
	return ok("%s", version)
}

func (e *examination) mmdebstrap(context.Context) finding {
	path, err := e.host.LookPath("mmdebstrap")
	if err != nil {
		return finding{Warn, "not found", "to build node images, install it: apt-get install mmdebstrap"}
	}
	return ok("%s", path)
}
