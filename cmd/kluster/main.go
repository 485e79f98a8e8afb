// Command kluster makes real multi-node Kubernetes clusters on one Docker
// engine. See "kluster --help".
package main

import (
	"context"
	"os"

	"github.com/kluster-project/kluster/internal/cli"
)

func main() {
	ctx, stop := cli.Interruptible(context.Background(), os.Stderr, os.Exit)
	code := cli.Main(ctx, os.Args[1:], cli.StdStreams(), cli.RealDeps())
	stop()
	os.Exit(code)
}
