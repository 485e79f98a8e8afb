package status

import (
	"log/slog"
)

// Logger writes log records as plain lines above the live part: warnings and
// errors always, all else only when the display is verbose.
func (d *Display) Logger() *slog.Logger {
	level := slog.LevelWarn
	if d.opt.Verbosity == Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(lineWriter{d}, &slog.HandlerOptions{Level: level, ReplaceAttr: dropTime}))
}

// dropTime leaves out the time of day: steps carry the times that matter.
func dropTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// lineWriter prints each write, which a slog handler makes one record, as a line.
type lineWriter struct{ d *Display }

func (w lineWriter) Write(p []byte) (int, error) {
	w.d.Note("%s", p)
	return len(p), nil
}
