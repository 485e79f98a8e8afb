package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kluster-project/kluster/internal/suggest"
)

// suggestionDistance is how many letters of a verb may be wrong.
const suggestionDistance = 2

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, "%s takes no arguments, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// subcommandNeeded is for commands whose arguments can only be misspelt verbs.
func subcommandNeeded(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = suggestionDistance
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usageError(cmd, "unknown command %q for %q; did you mean %s?", args[0], cmd.CommandPath(), quoteAll(near))
	}
	return usageError(cmd, "unknown command %q for %q", args[0], cmd.CommandPath())
}

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(quoted, " or ")
}

// flagError makes a mistake of what pflag says, with the flag that was meant.
func flagError(cmd *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return usageError(cmd, "%w", err)
	}
	if near := nearestFlag(cmd, name); near != "" {
		return usageError(cmd, "%w; did you mean --%s?", err, near)
	}
	return usageError(cmd, "%w", err)
}

// nearestFlag is the flag whose name is nearest to the one written, "" if none
// is near.
func nearestFlag(cmd *cobra.Command, written string) string {
	var names []string
	add := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	}
	cmd.Flags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return suggest.Nearest(written, names)
}

// choice is a flag that takes one of a few words.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(value string) error {
	for _, a := range c.allowed {
		if value == a {
			c.value = value
			return nil
		}
	}
	return fmt.Errorf("must be one of: %s", strings.Join(c.allowed, ", "))
}

// addChoice adds a choice as a flag; the first of allowed is the default.
func addChoice(cmd *cobra.Command, c *choice, name, short, usage string, allowed ...string) {
	*c = choice{value: allowed[0], allowed: allowed}
	cmd.Flags().VarP(c, name, short, usage)
	complete(cmd, name, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}

// complete gives a flag its shell completion. It fails only for flags that do
// not exist, which the tests of the tree would meet.
func complete(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err)
	}
}

// hide keeps a flag out of the help. Like complete, it fails only for flags
// that do not exist.
func hide(cmd *cobra.Command, flag string) {
	if err := cmd.Flags().MarkHidden(flag); err != nil {
		panic(err)
	}
}

// atMost refuses more than n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError(cmd, "%s takes at most %d argument, but got %d", cmd.CommandPath(), n, len(args))
		}
		return nil
	}
}
