// Command modgen writes the go.mod and go.sum of every module graph of
// configs/components.yaml, verified against the checksum database, into
// configs/modules. Run it from the repository's root after a version changed:
//
//	go run ./node-image/modgen [GRAPH-VERSION ...]
//
// Without arguments it makes those that are missing.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	nodeimage "github.com/kluster-project/kluster/node-image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, "configs/modules", os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "modgen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, want []string) error {
	c, err := nodeimage.LoadCatalog()
	if err != nil {
		return err
	}
	for _, j := range jobs(c) {
		out := filepath.Join(dir, j.graph.Name+"-"+j.version)
		_, err := os.Stat(filepath.Join(out, "mod"))
		if slices.Contains(want, filepath.Base(out)) || (len(want) == 0 && err != nil) {
			fmt.Fprintln(os.Stderr, out)
			if err := j.generate(ctx, out); err != nil {
				return fmt.Errorf("%s: %w", out, err)
			}
		}
	}
	return nil
}
