package cli

import "github.com/spf13/cobra"

func newRegistryCredentialsCmd(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "credentials [REGISTRY...]",
		Short: "Let a cluster that there is pull with the user's credentials",
		Long: `Lets all nodes of a cluster pull with the credentials that the user of this
machine has now for these registries, or for those that the nodes have some of:
passwords of some registries run out after hours. Prints the registries.

The nodes' kubelets read them again within five minutes. They are in a file that
only root of a node can read, which is in no image and no bundle of logs. New
clusters get them with the field registries.credentials.`,
		Example: "  kluster registry credentials ghcr.io\n  kluster registry credentials --cluster ci",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			clusters, name, err := a.existing(cmd.Context(), name)
			if err != nil {
				return err
			}
			given, err := clusters.GiveCredentials(cmd.Context(), name, args)
			return a.printNames(given, err)
		},
	}
	a.addCluster(cmd, &name)
	return cmd
}
