package cli

import "github.com/spf13/cobra"

func newGetCmd(a *app) *cobra.Command {
	return newGroupCmd("get", "Print what there is",
		newGetClustersCmd(a), newGetNodesCmd(a), newGetImagesCmd(a), newGetKubeconfigCmd(a))
}
