package cli

import (
	"context"
	"log/slog"
	"os"

	"golang.org/x/term"

	"github.com/kluster-project/kluster/internal/status"
)

// app is one run of the command: what its verbs share.
type app struct {
	streams        Streams
	deps           Deps
	verbose, quiet bool

	ctx      context.Context //nolint:containedctx // the command's, by which an interruption is told
	display  *status.Display
	unsay    func() // the display tells of interruptions until then
	clusters Clusters
}

func newApp(streams Streams, deps Deps) *app {
	if deps.LookupEnv == nil {
		deps.LookupEnv = os.LookupEnv
	}
	return &app{streams: streams, deps: deps}
}

// begin starts the display, once the flags are known.
func (a *app) begin(ctx context.Context) {
	verbosity := status.Normal
	switch {
	case a.quiet:
		verbosity = status.Quiet
	case a.verbose:
		verbosity = status.Verbose
	}
	_, noColor := a.deps.LookupEnv("NO_COLOR")
	a.display = status.New(status.Options{
		Out: a.streams.Err, Terminal: status.Smart(a.streams.Err, a.deps.LookupEnv),
		Width: a.width, Color: !noColor, Verbosity: verbosity,
	})
	slog.SetDefault(a.display.Logger())
	a.ctx = ctx
	a.unsay = a.sayThrough(func(text string) { a.display.Note("%s", text) })
}

// sayThrough has interruptions told by a display until unsay; a quiet one tells
// nothing.
func (a *app) sayThrough(say func(string)) (unsay func()) {
	if a.quiet || a.ctx == nil {
		return func() {}
	}
	return sayThrough(a.ctx, say)
}

// width of the terminal that stderr is.
func (a *app) width() int {
	if f, ok := a.streams.Err.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// close ends the display, so that what is printed next stands alone.
func (a *app) close() {
	if a.display != nil {
		a.unsay()
		a.display.Close()
	}
}

// manager reaches the engine, at the first call, and undoes what faults nobody else
// will undo.
func (a *app) manager(ctx context.Context) (Clusters, error) {
	if a.clusters != nil {
		return a.clusters, nil
	}
	clusters, err := a.reach(ctx)
	if err != nil {
		return nil, err
	}
	a.clusters = clusters
	a.undoOverdue(ctx)
	return clusters, nil
}

// reach gives the clusters of the engine.
func (a *app) reach(ctx context.Context) (Clusters, error) {
	p, err := a.deps.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return a.deps.Clusters(p, a.reporter())
}

// reporter hears of long work; nobody does when shell completion asks.
func (a *app) reporter() status.Reporter {
	if a.display == nil {
		return status.Discard
	}
	return a.display
}
