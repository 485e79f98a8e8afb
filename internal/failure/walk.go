package failure

import "slices"

// Code is the exit code for err: 0 for nil, else what the outermost error that
// has an opinion says (a method ExitCode that returns more than 0), else 1.
func Code(err error) int {
	if err == nil {
		return CodeOK
	}
	code := CodeFailed
	walk(err, func(e error) bool {
		if c, ok := e.(interface{ ExitCode() int }); ok && c.ExitCode() > 0 {
			code = c.ExitCode()
			return false
		}
		return true
	})
	return code
}

// Hints are the hints of err and its causes, outermost first, each once.
func Hints(err error) []string {
	var hints []string
	add := func(hint string) {
		if hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	walk(err, func(e error) bool {
		switch e := e.(type) { //nolint:errorlint // walk comes to the causes by itself
		case interface{ Hints() []string }:
			for _, hint := range e.Hints() {
				add(hint)
			}
		case interface{ Hint() string }:
			add(e.Hint())
		}
		return true
	})
	return hints
}

// Outputs are what the commands printed that failed.
func Outputs(err error) []string {
	all, _ := outputs(err)
	return all
}

// outputs are the captured outputs in the tree of err, and logs the log paths.
func outputs(err error) (outputs, logs []string) {
	add := func(list *[]string, text string) {
		if text != "" && !slices.Contains(*list, text) {
			*list = append(*list, text)
		}
	}
	walk(err, func(e error) bool {
		if o, ok := e.(interface{ Output() string }); ok {
			add(&outputs, o.Output())
		}
		if l, ok := e.(interface{ LogPath() string }); ok {
			add(&logs, l.LogPath())
		}
		return true
	})
	return outputs, logs
}

// walk calls visit for err and everything it wraps, depth first, until visit
// says false. It reports whether it went all the way.
func walk(err error, visit func(error) bool) bool {
	if err == nil {
		return true
	}
	if !visit(err) {
		return false
	}
	switch e := err.(type) { //nolint:errorlint // this is what unwraps
	case interface{ Unwrap() error }:
		return walk(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			if !walk(cause, visit) {
				return false
			}
		}
	}
	return true
}
