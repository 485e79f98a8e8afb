package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
	best, distance := "", len(written)/3+2
	look := func(f *pflag.Flag) {
		if d := editDistance(written, f.Name); d < distance && !f.Hidden {
			best, distance = f.Name, d
		}
	}
	cmd.Flags().VisitAll(look)
	cmd.InheritedFlags().VisitAll(look)
	return best
}

// editDistance counts the insertions, removals and replacements that make b of a.
func editDistance(a, b string) int {
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		diagonal := last[0]
		last[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, last[j+1] = last[j+1], min(last[j+1]+1, last[j]+1, diagonal+cost)
		}
	}
	return last[len(b)]
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
