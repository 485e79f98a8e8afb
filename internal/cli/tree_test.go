package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestTree holds every verb and flag to the same form.
func TestTree(t *testing.T) {
	eachCommand(newRootCmd(quietApp()), func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help %q is empty or ends with a full stop", cmd.CommandPath(), cmd.Short)
		}
		if cmd.Example != "" && !strings.HasPrefix(cmd.Example, "  ") {
			t.Errorf("%s: the examples are not indented", cmd.CommandPath())
		}
		for _, line := range strings.Split(cmd.Long, "\n") {
			if len(line) > 80 {
				t.Errorf("%s: a line of help is %d columns wide: %s", cmd.CommandPath(), len(line), line)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: usage %q is empty or ends with a full stop", cmd.CommandPath(), f.Name, f.Usage)
			}
		})
	})
}

// eachCommand visits a command and those below it that are kluster's own.
func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		if child.Name() != "completion" {
			eachCommand(child, visit)
		}
	}
}
