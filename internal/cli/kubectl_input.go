package cli

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// ownArgs are kubectl's arguments without the command behind "--", which is for
// a container.
func ownArgs(args []string) []string {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i]
	}
	return args
}

// wantsInput says whether kubectl's own arguments ask for standard input. If
// they do not, it is left to what comes after kubectl, as in a shell's
// "while read" loop.
func wantsInput(args []string) bool { return slices.ContainsFunc(ownArgs(args), asksForInput) }

func asksForInput(arg string) bool {
	switch arg {
	case "-", "-f-", "--stdin", "--stdin=true", "--interactive", "--interactive=true":
		return true
	}
	if strings.HasSuffix(arg, "=-") || strings.HasSuffix(arg, "/dev/stdin") || strings.HasSuffix(arg, "/dev/fd/0") {
		return true
	}
	// -i, alone or together with the other short switches of exec and run.
	short, ok := strings.CutPrefix(arg, "-")
	return ok && strings.HasPrefix(strings.TrimLeft(short, "qt"), "i") && !strings.HasSuffix(arg, "=false")
}

// wantsTerminal says whether kubectl's own arguments ask for a terminal (exec,
// run and attach with -it) and there is one to give.
func (a *app) wantsTerminal(args []string) bool {
	in, ok := a.streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return false
	}
	for _, arg := range ownArgs(args) {
		switch {
		case arg == "--tty", arg == "--tty=true", arg == "-t", strings.HasPrefix(arg, "-it"), strings.HasPrefix(arg, "-ti"):
			return true
		}
	}
	return len(args) > 0 && args[0] == "edit"
}
