package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

const rootLong = `kluster makes real Kubernetes clusters of several nodes on one Docker engine:
upstream binaries, kubeadm's own layout, highly available from the start.`

const rootExample = `  kluster create --nodes 3
  kluster kubectl -- get nodes
  kluster delete`

// newRootCmd is the whole tree.
func newRootCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:           "kluster",
		Short:         "Real multi-node Kubernetes clusters on one Docker engine",
		Long:          rootLong,
		Example:       rootExample,
		SilenceErrors: true, // Main prints them
		SilenceUsage:  true,
		Args:          subcommandNeeded,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if a.verbose && a.quiet {
				return usageError(cmd, "--verbose and --quiet exclude each other")
			}
			if !isCompletion(cmd) {
				a.begin(cmd.Context())
			}
			return nil
		},
	}
	cmd.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "print details of what is done")
	cmd.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "print results and errors only")
	cmd.SetFlagErrorFunc(flagError)
	cmd.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	cmd.AddCommand(
		newBuildCmd(a), newCreateCmd(a), newDeleteCmd(a), newGetCmd(a), newLoadCmd(a), newExecCmd(a),
		newLogsCmd(a), newExportCmd(a), newLifeCmd(a, stopLife), newLifeCmd(a, startLife), newLifeCmd(a, restartLife),
		newLifeCmd(a, pauseLife), newLifeCmd(a, resumeLife),
		newKubectlCmd(a), newRuntimeCmd(a), newAddonCmd(a), newRegistryCmd(a), newE2ECmd(a), newDoctorCmd(a), newVersionCmd(a),
		newTopCmd(a), newBundleCmd(a), newPruneCmd(a), newNodeCmd(a), newFaultCmd(a),
	)
	cmd.InitDefaultCompletionCmd()
	return cmd
}

// newGroupCmd is a verb that only holds others.
func newGroupCmd(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  subcommandNeeded,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError(cmd, "%s needs one of: %s", cmd.CommandPath(), strings.Join(childNames(cmd), ", "))
		},
	}
	cmd.AddCommand(children...)
	return cmd
}

func childNames(cmd *cobra.Command) []string {
	var names []string
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			names = append(names, child.Name())
		}
	}
	return names
}

// isCompletion says whether cmd is one of those the shell calls on each Tab.
func isCompletion(cmd *cobra.Command) bool {
	return cmd.Name() == cobra.ShellCompRequestCmd || cmd.Name() == cobra.ShellCompNoDescRequestCmd
}
