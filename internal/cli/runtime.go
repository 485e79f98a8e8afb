package cli

import "github.com/spf13/cobra"

func newRuntimeCmd(a *app) *cobra.Command {
	return newGroupCmd("runtime", "See and change the container runtimes of a cluster's nodes", newRuntimeListCmd(a), newRuntimeSwapCmd(a))
}
