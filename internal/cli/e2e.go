package cli

import "github.com/spf13/cobra"

func newE2ECmd(a *app) *cobra.Command {
	return newGroupCmd("e2e", "Run Kubernetes' e2e suites and read their reports", newE2ERunCmd(a), newE2EMatrixCmd(a), newE2ECompareCmd(a))
}
