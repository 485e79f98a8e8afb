// Command kluster-node is the program inside a node: the container's first
// process, which prepares the node for systemd, and the small services and
// plugins that kluster adds to what a Kubernetes node has anyway. Which of them
// it is follows from the name it is called by, or else from its first argument.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/kluster-project/kluster/internal/nodeagent/faults"
)

// command is one of the programs in this one.
type command struct {
	name, help string
	run        func(ctx context.Context, log *slog.Logger, args []string) error
}

func commands() []command {
	return []command{
		{"init", "prepare the node, then become systemd (or run the load balancer)", runInit},
		{"cgroups", "make the kubelet's cgroups; to run before the runtime and the kubelet start", runCgroups},
		{"store", "link the image's preloaded container images; to run before the runtime starts", runStore},
		{"runtime", "change the container runtime: stop R | use R [OCI] | start R | record R [OCI] | restore", runRuntime},
		{"fault", "do and undo faults: check | start (an order on stdin) | undo ID | work ID | list | addresses", runFault},
		{"api-proxy", "serve the node-local proxy to the API servers", runAPIProxy},
		{"api-servers", "tell the node where the API servers are from now on: ADDRESS...", runAPIServers},
		{"balancer", "in the load balancer: serve what its configuration says by now; with cut, end sessions with what has gone", runBalancer},
		{"bootstrap", "make a control plane of the node, at its first start", runBootstrap},
		{"await", "wait for: file PATTERN | tls ADDRESS | bootstrap", runAwait},
		{"network", "serve the default pod network, and Services of type LoadBalancer", runNetwork},
		{"registry", "serve container images: FOLDER (an OCI layout) ADDRESS", runRegistry},
		{"hide-product", "OCI hook: hide the host's product files in a container", runHideProduct},
		{"kluster-ipam", "CNI address plugin of the default pod network", runIPAM},
		{"kluster-oci", "OCI runtime: runc, with what this node cannot do left out", runOCI("runc")},
		{"kluster-oci-crun", "OCI runtime: crun, in the same way", runOCI("crun")},
		{"mirrors", "tell the container runtime of mirrors of registries | serve: ask them for one that cannot be told", runMirrors},
		{"docker-load", "give Docker Engine the stream of images on stdin, layer by layer as they come", runDockerLoad},
		{"version", "print the protocol version", runVersion},
	}
}

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: dropTime}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	all := commands()
	find := func(name string) int {
		return slices.IndexFunc(all, func(c command) bool { return c.name == name })
	}
	i := find(name)
	if i < 0 && len(args) > 0 {
		i, args = find(args[0]), args[1:]
	}
	if i < 0 {
		usage(all)
		os.Exit(2)
	}
	if err := all[i].run(ctx, log, args); err != nil {
		report(log, err)
		os.Exit(codeOf(err))
	}
}

// codeOf is the exit code of an error: 1, but for a fault that the node cannot do.
func codeOf(err error) int {
	if refused, ok := errors.AsType[*faults.RefusedError](err); ok {
		return refused.ExitCode()
	}
	return 1
}

// report writes an error to the log, or as it is where it quotes another program
// at length.
func report(log *slog.Logger, err error) {
	if text := err.Error(); strings.Contains(text, "\n") {
		fmt.Fprintln(os.Stderr, text)
		return
	}
	log.Error(err.Error())
}

func usage(all []command) {
	fmt.Fprintln(os.Stderr, "usage: kluster-node COMMAND")
	for _, c := range all {
		fmt.Fprintf(os.Stderr, "  %-14s%s\n", c.name, c.help)
	}
}

// dropTime leaves the time to the journal and to the engine's log.
func dropTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}

// noArguments refuses arguments on behalf of commands that take none.
func noArguments(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected arguments: %s", strings.Join(args, " "))
	}
	return nil
}
