package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/doctor"
	"github.com/kluster-project/kluster/internal/failure"
)

const doctorLong = `Looks at the host, item by item, and says what to do about what clusters lack.
It changes nothing. It ends with 4 when something fails without which no
cluster can be made.`

func newDoctorCmd(a *app) *cobra.Command {
	var output choice
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether the host is fit for clusters",
		Long:  doctorLong,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), a, output.value) },
	}
	addChoice(cmd, &output, "output", "o", "how to print", formatTable, formatJSON)
	return cmd
}

func runDoctor(ctx context.Context, a *app, format string) error {
	checks, err := doctor.Examine(ctx, doctor.ThisHost(a.deps.Connect, a.deps.FreeSubnets))
	if err != nil {
		return err
	}
	if err := show(a.streams.Out, format, checks, func() table { return checkTable(checks) }); err != nil {
		return err
	}
	var failed []string
	for _, c := range checks {
		if c.Level == doctor.Fail {
			failed = append(failed, c.Name)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return failure.With(fmt.Errorf("this host is not fit for clusters: %s", strings.Join(failed, ", ")), failure.Exit(failure.CodeHost))
}

// checkTable puts advice on a line of its own: it is long.
func checkTable(checks []doctor.Check) table {
	t := table{head: []string{"CHECK", "RESULT", "FOUND"}}
	for _, c := range checks {
		t.rows = append(t.rows, []string{c.Name, string(c.Level), c.Value})
		if c.Advice != "" {
			t.rows = append(t.rows, []string{"", "", "-> " + c.Advice})
		}
	}
	return t
}
