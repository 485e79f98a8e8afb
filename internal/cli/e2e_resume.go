package cli

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kluster-project/kluster/e2e/expect"
	"github.com/kluster-project/kluster/internal/e2e"
)

var (
	// ofOneRun are flags that say nothing of what a spec runs on: they pick specs, or
	// are about the run as a whole.
	ofOneRun = []string{
		"focus", "skip", "label-filter", "procs", "seed", "timeout", "rerun-failed", "allow-flaky", "resume", "dry-run",
		"report-dir", "output", "clusters", "certification-bundle", "product", "keep-namespace-on-failure", "expectations", "quiet", "verbose",
	}
	// ofOneCommand are flags that say nothing of the run.
	ofOneCommand = []string{"resume", "dry-run", "report-dir", "output", "quiet", "verbose"}
	// ofExisting are flags that say which cluster that is there already is run on, and
	// ofCreated those about clusters that are made for the run.
	ofExisting = []string{"cluster", "kubeconfig"}
	ofCreated  = []string{"create", "name", "clusters", "config", "control-planes", "workers", "kubernetes-version", "runtime", "oci-runtime"}
)

// givenFlags are the flags of the command line, but for some, with their values as
// they hold in any folder.
func givenFlags(cmd *cobra.Command, without []string) map[string][]string {
	given := map[string][]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(without, f.Name) {
			given[f.Name] = valuesOf(f)
		}
	})
	return given
}

func valuesOf(f *pflag.Flag) []string {
	if several, ok := f.Value.(pflag.SliceValue); ok {
		values := several.GetSlice()
		if f.Name == "expectations" {
			for i, value := range values {
				if value != expect.BuiltIn && value != expect.None {
					values[i] = absolute(value)
				}
			}
		}
		return values
	}
	value := f.Value.String()
	if f.Name == "kubeconfig" || f.Name == "config" && value != "-" {
		value = absolute(value)
	}
	return []string{value}
}

// commandLine is "kluster e2e run" for a suite with the flags that were given, but
// for some. It says the same in any folder.
func commandLine(cmd *cobra.Command, suite string, without []string) []string {
	words := []string{"kluster", "e2e", "run"}
	if strings.ContainsRune(suite, filepath.Separator) || suite == "." {
		words = append(words, absolute(suite))
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains(without, f.Name) {
			return
		}
		for _, value := range valuesOf(f) {
			switch {
			case f.Value.Type() != "bool":
				words = append(words, "--"+f.Name, value)
			case value == "true":
				words = append(words, "--"+f.Name)
			}
		}
	})
	return words
}

// takeUp gives the flags that were not given the values with which the run in the
// report's folder was begun. Whether those that were given say the same is seen when
// all is known that they mean. folder says that a folder was given as the suite.
func (o *e2eRunOptions) takeUp(cmd *cobra.Command, folder bool) error {
	record, err := e2e.LoadRecord(o.Dir)
	if err != nil {
		return err
	}
	changed := func(names []string) bool { return slices.ContainsFunc(names, cmd.Flags().Changed) }
	var others []string // would only exclude what was given
	if changed(ofExisting) {
		others = slices.Concat(ofExisting, ofCreated)
	} else if changed(ofCreated) {
		others = ofExisting
	}
	switch {
	case folder:
		others = append(slices.Clone(others), "suite")
	case !cmd.Flags().Changed("suite"):
		o.Suite = record.Suite
	}
	for name, values := range record.Flags {
		f := cmd.Flags().Lookup(name)
		if f == nil || f.Changed || slices.Contains(others, name) {
			continue
		}
		if name == "config" && slices.Contains(values, "-") {
			return usageError(cmd, "the run in %s was begun with a configuration from standard input: give it again, with --config -", o.Dir)
		}
		for _, value := range values {
			if err := cmd.Flags().Set(name, value); err != nil {
				return badInput("--%s of the run in %s: %w", name, o.Dir, err)
			}
		}
	}
	return nil
}

// recordedFlags are the given flags for the record of the run, and what was found for
// some that were not: the same again must find it too.
func (o *e2eRunOptions) recordedFlags() map[string][]string {
	flags := o.given
	found := func(name, value string) {
		if _, given := flags[name]; !given && value != "" {
			flags[name] = []string{value}
		}
	}
	found("cluster", o.Cluster)
	if len(o.Create) > 0 {
		found("kubernetes-version", o.Create[0].KubernetesVersion)
	}
	return flags
}
