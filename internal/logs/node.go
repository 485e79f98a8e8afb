package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/kluster-project/kluster/internal/bundle"
	"github.com/kluster-project/kluster/provider"
)

// commandTime bounds a command in a node: a container runtime that hangs must not take
// the time of all that comes after it.
const commandTime = 20 * time.Second

// nodeExport is what is taken of one machine.
type nodeExport struct {
	*export
	Machine
	dir   string
	share *bundle.Share

	mu sync.Mutex
	// lastLines are the last lines of containers' logs, by podKey.
	lastLines map[string]string
	// lastFiles are the files those are in.
	lastFiles map[string]logFile
	// containers are what the runtime knows, once it has told: asked.
	containers []container
	asked      bool
}

func (n *nodeExport) gather(ctx context.Context) {
	n.engine()
	n.console(ctx)
	if n.Runtime == nil {
		n.configuration(ctx, n.Config)
		n.conclude()
		return
	}
	var beside sync.WaitGroup
	if n.State == provider.StateRunning {
		// It may hang, as nothing else does.
		beside.Go(func() { n.containerStates(ctx) })
		for _, s := range sources(n.ID, *n.Runtime, n.Since) {
			n.command(ctx, s)
		}
	}
	n.configuration(ctx, n.configPaths())
	n.podLogs(ctx)
	beside.Wait()
	n.conclude()
}

// conclude notes what did not fit, or could not be written.
func (n *nodeExport) conclude() { n.miss(n.Name, n.share.Err()) }

func (n *nodeExport) file(name string) string { return path.Join(n.dir, name) }

// find notes a likely cause that lies in this machine.
func (n *nodeExport) find(c Cause) {
	c.Node = n.Name
	n.export.find(c)
}

// console is what the machine's first process printed.
func (n *nodeExport) console(ctx context.Context) {
	text := &bundle.End{Most: mostOfJournal}
	err := n.Provider.Logs(ctx, n.ID, provider.LogOptions{Since: n.Since}, text)
	n.share.Put(n.file(consoleFile), text.Bytes(), mostOfJournal, bundle.Tail)
	n.miss(n.file(consoleFile), err)
}

// command runs a command in the node and keeps what it prints.
func (n *nodeExport) command(ctx context.Context, s source) {
	text := &bundle.End{Most: s.most}
	err := n.run(ctx, s.args, text)
	kept := n.share.Put(n.file(s.file), text.Bytes(), s.most, bundle.Tail)
	n.miss(n.file(s.file), err)
	if s.read != nil && len(kept) > 0 {
		s.read(n, kept)
	}
}

// run runs a command in the node, for as long as commands have.
func (n *nodeExport) run(ctx context.Context, args []string, stdout io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTime, fmt.Errorf("%s did not end within %s", args[0], commandTime))
	defer cancel()
	return n.Provider.Exec(ctx, n.ID, provider.Command{Args: args, Stdout: stdout})
}

func (n *nodeExport) configPaths() []string {
	paths, err := n.Runtime.ConfigPaths()
	n.miss(n.file("config"), err)
	return slices.Concat(config, n.Config, paths)
}

// configuration takes files and folders out of the machine, running or not.
func (n *nodeExport) configuration(ctx context.Context, paths []string) {
	for _, file := range paths {
		stream, err := n.Provider.CopyFrom(ctx, n.ID, file)
		if errors.Is(err, provider.ErrNotFound) {
			continue // not every node has all
		}
		if err == nil {
			err = n.unpack(stream, path.Join("config", path.Dir(file)), anyFile, 0)
			stream.Close()
		}
		n.miss(n.file(path.Join("config", file)), err)
	}
}

// podScript streams the logs below /var/log/pods as a tar, the newest first. Where they
// are links, as with Docker, they are followed to where a runtime keeps its logs, and
// nowhere else: a pod may be able to make links there.
const podScript = `cd /var/log/pods 2>/dev/null || exit 0
find . -name '*.log*' ! -name '*.gz' -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2- | while IFS= read -r f; do
	[ -f "$f" ] || continue
	case "$(readlink -f "$f")" in
	/var/log/pods/*|/var/lib/docker/containers/*-json.log) printf '%s\0' "$f" ;;
	esac
done | tar --create --dereference --ignore-failed-read --warning=none --null --no-recursion --files-from=- || [ $? -eq 1 ]`

// mostOfStream is how much of a node's pods' logs is looked through.
const mostOfStream = 512 << 20

// podTime bounds the way of pods' logs out of a node.
const podTime = 2 * time.Minute

// podLogs takes the logs of the pods' containers, the end of each.
func (n *nodeExport) podLogs(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, podTime, fmt.Errorf("not within %s", podTime))
	defer cancel()
	var err error
	if n.State == provider.StateRunning {
		err = n.unpackRun(ctx, "pods", []string{"sh", "-c", podScript})
	} else {
		err = n.unpackCopy(ctx)
	}
	n.miss(n.file("pods"), err)
}

// unpackRun unpacks what a command in the node prints.
func (n *nodeExport) unpackRun(ctx context.Context, below string, args []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := n.Provider.Exec(ctx, n.ID, provider.Command{Args: args, Stdout: w})
		w.CloseWithError(err)
		ended <- err
	}()
	err := n.unpack(stream, below, logsOnly, mostOfStream)
	if err != nil {
		cancel() // nobody reads any more
	} else {
		_, err = io.Copy(io.Discard, stream) // what pads the end of a tar
	}
	stream.Close()
	if rerr := <-ended; err == nil {
		return rerr
	}
	return err
}

// unpackCopy takes the logs of a node that does not run.
func (n *nodeExport) unpackCopy(ctx context.Context) error {
	stream, err := n.Provider.CopyFrom(ctx, n.ID, "/var/log/pods")
	if errors.Is(err, provider.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer stream.Close()
	return n.unpack(stream, "", logsOnly, mostOfStream)
}

// inspectTries bounds how often containers are listed anew since one of them has gone
// before it could be asked about.
const inspectTries = 3

// containerStates asks the runtime for what it knows of its containers. What a
// container is configured with stays out: it holds variables.
func (n *nodeExport) containerStates(ctx context.Context) {
	var states bytes.Buffer
	err := n.inspectAll(ctx, &states)
	for try := 1; err != nil && try < inspectTries && ctx.Err() == nil; try++ {
		states.Reset()
		err = n.inspectAll(ctx, &states)
	}
	found, perr := parseContainers(states.Bytes())
	err = errors.Join(err, perr)
	n.miss(n.file(containersFile), err)
	n.share.Put(n.file(containersFile), indented(append([]container{}, found...)), mostOfFile, bundle.Head)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.containers, n.asked = found, err == nil
}

// inspectAll writes what crictl says of each container.
func (n *nodeExport) inspectAll(ctx context.Context, states *bytes.Buffer) error {
	var ids bytes.Buffer
	if err := n.run(ctx, slices.Concat(n.Runtime.Debug, []string{"ps", "--all", "--quiet"}), &ids); err != nil {
		return err
	}
	list := bytes.Fields(ids.Bytes())
	if len(list) == 0 {
		return nil
	}
	args := slices.Concat(n.Runtime.Debug, []string{"inspect", "--output", "json"})
	for _, id := range list[:min(len(list), mostContainers)] {
		args = append(args, string(id))
	}
	return n.run(ctx, args, states)
}
