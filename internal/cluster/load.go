package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// LoadOptions say which images go into which nodes. One of Images, Archive and Layout
// is given.
type LoadOptions struct {
	Cluster string
	// Nodes are those to load into; none means all that run containers.
	Nodes []string
	// Images are names of images that the engine holds. Archive is a file and Layout a
	// folder with images, of which one without a name is called Name.
	Images                []string
	Archive, Layout, Name string
	// Verify asks the nodes afterwards whether they have what was loaded.
	Verify bool
}

// Load brings images into nodes, all at once: to each only those layers that it lacks.
// A node where that fails has none of the images, and does not keep the others from
// getting them.
func (m *Manager) Load(ctx context.Context, opt LoadOptions) (err error) {
	defer func() { err = orInterrupted(ctx, err) }()
	targets, err := m.loadTargets(ctx, opt.Cluster, opt.Nodes)
	if err != nil {
		return err
	}
	src, err := m.loadSource(ctx, opt)
	if err != nil {
		return err
	}
	return m.load(ctx, targets, src, opt.Verify, m.reporter)
}

// load brings the images of a source into nodes.
func (m *Manager) load(ctx context.Context, targets []provider.Node, src imageload.Source, check bool, reporter status.Reporter) (err error) {
	defer func() { err = orInterrupted(ctx, err) }()
	l := &loader{m: m, src: src, checked: map[v1.Hash]bool{}, reporter: reporter}
	if err := l.look(ctx, targets); err != nil {
		return err
	}
	if err := l.open(ctx, l.targets); err != nil {
		return l.none(err)
	}
	defer func() { l.close() }()
	if err := l.fit(); err != nil {
		return err
	}
	err = l.send(ctx, l.targets)
	for _, more := range []func(*target, *loader){(*target).byImport, (*target).withAll} {
		if again := l.again(more); err == nil && len(again) > 0 {
			if err = l.open(ctx, again); err == nil {
				err = l.send(ctx, again)
			}
		}
	}
	for _, t := range l.targets {
		if err == nil && t.err == nil && check {
			t.err = l.verify(ctx, t)
		}
		t.step.End(t.result())
	}
	if err != nil {
		return err
	}
	return l.failures()
}

// orInterrupted is an error, but that of an interruption and not what the engine says of
// a call that it ended.
func orInterrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (m *Manager) loadTargets(ctx context.Context, cluster string, names []string) ([]provider.Node, error) {
	if len(names) > 0 {
		var out []provider.Node
		for _, name := range names {
			n, err := m.node(ctx, cluster, name)
			if err != nil {
				return nil, err
			}
			if isLoadBalancer(n) {
				return nil, &inputError{fmt.Errorf("%s is the load balancer, which runs no containers", name)}
			}
			if !slices.ContainsFunc(out, func(o provider.Node) bool { return o.ID == n.ID }) {
				out = append(out, n)
			}
		}
		return out, nil
	}
	nodes, err := m.machines(ctx, cluster)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(nodes, isLoadBalancer), nil
}

func isLoadBalancer(n provider.Node) bool {
	return n.Labels[nodespec.LabelRole] == string(nodespec.RoleLoadBalancer)
}

// loadSource opens what images come from.
func (m *Manager) loadSource(ctx context.Context, opt LoadOptions) (imageload.Source, error) {
	host, err := m.provider.Host(ctx)
	if err != nil {
		return nil, err
	}
	want := v1.Platform{OS: "linux", Architecture: host.Arch}
	var src imageload.Source
	switch {
	case opt.Archive != "":
		src, err = imageload.Archive(ctx, opt.Archive, opt.Name, want)
	case opt.Layout != "":
		src, err = imageload.Layout(ctx, opt.Layout, opt.Name, want)
	default:
		src, err = m.heldSource(ctx, opt.Images, want)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, provider.ErrUnavailable) {
		err = &inputError{err}
	}
	return src, err
}

// loader is one load.
type loader struct {
	m   *Manager
	src imageload.Source
	// files are the layers to send where each node can read them by itself, else nil.
	files   imageload.Opened
	targets []*target
	// checked are layers that were compared with their digests here.
	checked  map[v1.Hash]bool
	reporter status.Reporter
}

// target is a node to load into.
type target struct {
	node    provider.Node
	runtime cri.Runtime
	step    status.Step
	held    imageload.Held
	missing map[v1.Hash]bool // digests of layers
	// has: nothing was to be done.
	has bool
	// imports: it gets them by the runtime's own import.
	imports bool
	err     error

	feed   *feed // of sendAll
	stream *imageload.Stream
}

// command is what reads the stream in the node.
func (t *target) command() []string {
	if t.imports && len(t.runtime.Import) > 0 {
		return t.runtime.Import
	}
	return t.runtime.Load
}

func (t *target) result() error {
	if t.err == nil && t.has {
		return status.Skip("has it already")
	}
	return t.err
}

// look asks every node what it has.
func (l *loader) look(ctx context.Context, nodes []provider.Node) error {
	all := l.src.Images()
	l.targets = make([]*target, len(nodes))
	g, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		g.Go(func() error {
			runtime, err := l.m.runtimeOf(ctx, n)
			if err != nil {
				return err
			}
			t := &target{node: n, runtime: runtime, step: status.Discard}
			if t.held, err = l.held(ctx, t); err != nil {
				return err
			}
			t.missing = t.held.Missing(all)
			t.has = !slices.ContainsFunc(all, func(img *imageload.Image) bool { return !t.held.Has(img) })
			l.targets[i] = t
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, t := range l.targets {
		t.step = l.reporter.Step("loading into "+t.node.Name, 0)
	}
	return nil
}

// held asks a node what it has.
func (l *loader) held(ctx context.Context, t *target) (imageload.Held, error) {
	var out bytes.Buffer
	err := l.m.provider.Exec(ctx, t.node.ID, provider.Command{Args: t.runtime.Holds, Stdout: &out})
	if err != nil {
		return imageload.Held{}, fmt.Errorf("asking %s which images it has: %w", t.node.Name, err)
	}
	held, err := imageload.ParseHeld(out.String())
	if err != nil {
		return held, fmt.Errorf("asking %s which images it has: %w", t.node.Name, err)
	}
	return held, nil
}

// roomFactor: a runtime keeps a layer as a file, for a while at least, and unpacks it.
const roomFactor = 2

// fit sees that every node has room, before any is touched.
func (l *loader) fit() error {
	for _, t := range l.targets {
		need, known := imageload.Bytes(l.src.Images(), t.missing)
		if need *= roomFactor; known && t.held.Free >= 0 && need > t.held.Free {
			name := t.node.Name
			return l.none(noRoom(fmt.Errorf("%s has %s of disk left, and loading takes %s", name, size(t.held.Free), size(need)), name))
		}
	}
	return nil
}

// none ends a load before any node was touched.
func (l *loader) none(err error) error {
	for _, t := range l.targets {
		t.step.End(err)
	}
	return err
}

func noRoom(err error, node string) error {
	return failure.With(err, failure.Hint("images that no pod uses can go: kluster exec %s -- crictl rmi --prune", node),
		failure.Hint("all nodes share the engine's disk: kluster doctor tells what is free"))
}

func size(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// open opens what nodes lack, if each can read it by itself.
func (l *loader) open(ctx context.Context, targets []*target) error {
	l.close()
	src, ok := l.src.(imageload.Opener)
	if !ok || !slices.ContainsFunc(targets, func(t *target) bool { return !t.has }) {
		return nil
	}
	files, err := src.Open(ctx, missing(targets))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the images: %w", err)
	}
	l.files = files
	return nil
}

func (l *loader) close() {
	if l.files != nil {
		_ = l.files.Close() // it was only read
		l.files = nil
	}
}

// missing are the layers that nodes lack.
func missing(targets []*target) map[v1.Hash]bool {
	all := map[v1.Hash]bool{}
	for _, t := range targets {
		maps.Copy(all, t.missing)
	}
	return all
}

// send brings nodes what they lack.
func (l *loader) send(ctx context.Context, targets []*target) error {
	targets = slices.DeleteFunc(slices.Clone(targets), func(t *target) bool { return t.has })
	if len(targets) == 0 {
		return nil
	}
	var err error
	if l.files != nil {
		err = l.sendEach(ctx, targets)
	} else {
		err = l.sendAll(ctx, targets)
	}
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil:
		err = fmt.Errorf("reading the images: %w", err)
	case l.files != nil:
		return l.findDamage(ctx, targets)
	default:
		return nil
	}
	for _, t := range targets {
		if t.err != nil {
			t.err = err
		}
	}
	return err
}

// run runs what reads the stream in a node. It has time to end when ctx ends.
func (l *loader) run(ctx context.Context, t *target, stream io.Reader) error {
	ending, end := outlive(ctx, endTime)
	defer end()
	err := l.m.provider.Exec(ending, t.node.ID, provider.Command{Args: t.command(), Stdin: stream, Bulk: true})
	return importError(t.node.Name, err)
}

// endTime is how long a node's command has to end by itself, when its stream has ended
// before the images were whole: it then takes back what it has made. Killed, it leaves
// that for the next load.
const endTime = 10 * time.Second

// outlive gives a context that ends so much later than ctx.
func outlive(ctx context.Context, by time.Duration) (later context.Context, end func()) {
	later, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(by, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(later, func() { timer.Stop() })
	})
	return later, func() { stop(); cancel(nil) }
}

// importError explains why a node did not take images.
func importError(node string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("importing images into %s: %w", node, err)
	var failed *provider.ExecError
	if errors.As(err, &failed) && strings.Contains(failed.Output, "no space left on device") {
		return noRoom(fmt.Errorf("%s has no disk space left: %w", node, wrapped), node)
	}
	return wrapped
}

// again are the nodes that failed and to which another try may mean more. One without
// room has been told so.
func (l *loader) again(more func(*target, *loader)) []*target {
	var again []*target
	for _, t := range l.targets {
		if t.err == nil || t.has || len(failure.Hints(t.err)) > 0 {
			continue
		}
		before := t.plan()
		if more(t, l); t.plan() != before {
			again = append(again, t)
		}
	}
	return again
}

// plan is what a node gets, and how, in a word.
func (t *target) plan() string { return fmt.Sprint(len(t.missing), t.command()) }

// byImport: there are layers that only the runtime's own import takes.
func (t *target) byImport(*loader) { t.imports = true }

// withAll: layers that were left out may have gone meanwhile, as garbage.
func (t *target) withAll(l *loader) { t.missing = imageload.Held{}.Missing(l.src.Images()) }

// Verifying waits for a runtime that learns of its images by and by.
const (
	verifyTime = 15 * time.Second
	verifyPoll = 250 * time.Millisecond
)

// verify asks a node for the images by name, and compares the digests.
func (l *loader) verify(ctx context.Context, t *target) error {
	deadline := time.Now().Add(verifyTime)
	for {
		held, err := l.held(ctx, t)
		if err == nil {
			err = held.Check(l.src.Images())
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || !wait.For(ctx, verifyPoll) {
			return fmt.Errorf("verifying the images of %s: %w", t.node.Name, err)
		}
	}
}

func (l *loader) failures() error {
	var all []error
	for _, t := range l.targets {
		all = append(all, t.err)
	}
	return errors.Join(all...)
}
