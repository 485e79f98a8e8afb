package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/e2e/report"
)

const e2eCompareLong = `Compares reports of runs: which specs pass on one and fail on another, and how
long they took. REPORT is the folder of a report, or its report.json.

The exit code is 3 when specs fail on one that pass on another, unless they are
known to fail (see "kluster e2e run --expectations").`

func newE2ECompareCmd(a *app) *cobra.Command {
	var output choice
	var html string
	cmd := &cobra.Command{
		Use:     "compare REPORT REPORT...",
		Short:   "Compare the reports of several runs",
		Long:    e2eCompareLong,
		Example: "  kluster e2e compare containerd/ cri-o/\n  kluster e2e compare before after --html compared.html",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError(cmd, "there must be two reports at least to compare")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return runE2ECompare(a, args, output.value, html) },
	}
	addChoice(cmd, &output, "output", "o", "how to print", "text", formatJSON)
	cmd.Flags().StringVar(&html, "html", "", "`FILE` to write the comparison to as a page")
	return cmd
}

func runE2ECompare(a *app, paths []string, format, html string) error {
	reports, err := report.LoadAll(paths...)
	if err != nil {
		return badInput("%w", err)
	}
	compared, err := report.Compare(reports...)
	if err != nil {
		return err
	}
	if html != "" {
		if err := writePage(html, compared); err != nil {
			return err
		}
	}
	a.close()
	if format == formatJSON {
		text, err := compared.JSON()
		if err != nil {
			return err
		}
		if _, err := a.streams.Out.Write(append(text, '\n')); err != nil {
			return err
		}
		return compared.Err()
	}
	if err := compared.WriteText(a.streams.Out); err != nil {
		return err
	}
	return compared.Err()
}

func writePage(file string, c *report.Comparison) error {
	f, err := os.Create(file)
	if err != nil {
		return badInput("--html: %w", err)
	}
	if err := c.WriteHTML(f); err != nil {
		f.Close()
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
