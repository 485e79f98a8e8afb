package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/cluster"
)

func newGetImagesCmd(a *app) *cobra.Command {
	var output choice
	cmd := &cobra.Command{
		Use:     "images",
		Aliases: []string{"image"},
		Short:   "List the node images of the engine (-o json: with all they hold)",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runGetImages(cmd.Context(), a, output.value) },
	}
	addOutput(cmd, &output)
	return cmd
}

func runGetImages(ctx context.Context, a *app, format string) error {
	clusters, err := a.manager(ctx)
	if err != nil {
		return err
	}
	images, err := clusters.Images(ctx)
	if err != nil {
		return err
	}
	return show(a.streams.Out, format, listOf(images), func() table { return imageTable(images) })
}

func imageTable(images []cluster.ImageInfo) table {
	t := table{head: []string{"IMAGE", "KUBERNETES", "RUNTIMES", "SIZE"}}
	for _, i := range images {
		t.rows = append(t.rows, []string{
			i.Ref, i.Manifest.Kubernetes, strings.Join(i.Manifest.Runtimes, ","), fmt.Sprintf("%d MB", i.Size/1e6),
		})
	}
	return t
}
