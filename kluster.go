package kluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/configs/v1alpha1"
	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/doctor"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/local"
	"github.com/kluster-project/kluster/internal/status"
)

// ErrNotFound is what errors of clusters and nodes that do not exist are.
var ErrNotFound = errors.New("not found")

// Options say what an Engine works with. The zero value is what the kluster command
// works with.
type Options struct {
	// Program is the path of the kluster program; kluster-node lies beside it. The
	// default is the one that is found as commands are.
	Program string
	// CacheDir is where built parts of node images are kept. The default is
	// $KLUSTER_CACHE, else "kluster" in the user's cache folder.
	CacheDir string
	// Log, if not nil, is told of the steps of long work, a line each.
	Log io.Writer
}

// Engine is a container engine of this machine, with its clusters.
type Engine struct {
	manager *cluster.Manager
	log     io.Writer
}

// Connect reaches the engine, as DOCKER_HOST or the current context of the docker
// command say.
func Connect(ctx context.Context, opt Options) (*Engine, error) {
	p, err := local.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if opt.Program == "" {
		if opt.Program, err = local.Program(); err != nil {
			return nil, err
		}
	}
	if opt.CacheDir == "" {
		if opt.CacheDir, err = local.CacheDir(); err != nil {
			return nil, err
		}
	}
	if opt.Log == nil {
		opt.Log = io.Discard
	}
	e := &Engine{log: opt.Log, manager: cluster.New(p, cluster.Options{
		Reporter: status.New(status.Options{Out: opt.Log}), CacheDir: opt.CacheDir, NodeBinary: local.NodeProgram(opt.Program),
		Program: opt.Program,
	})}
	undoOverdue(ctx, e.manager.UndoOverdue, e.log)
	return e, nil
}

// undoOverdue undoes faults that nobody else will undo, as every verb of the command does.
// That it fails, or takes too long, need not be about what is next.
func undoOverdue(ctx context.Context, undo func(context.Context) error, log io.Writer) {
	ctx, cancel := context.WithTimeoutCause(ctx, fault.OverdueTime, fmt.Errorf("not within %v", fault.OverdueTime))
	defer cancel()
	err := undo(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		fmt.Fprintln(log, "undoing overdue faults:", err)
	}
}

// CreateOptions say what cluster to make. All that is zero has a default: the zero value
// is a cluster "kluster" of one node.
type CreateOptions struct {
	// Config is a configuration as in a file, and ConfigFile the path of one; at most
	// one of them is given. What the fields below say wins over it.
	Config     *v1alpha1.Cluster
	ConfigFile string

	Name string
	// Nodes is how many there are: three or more have three control planes.
	// ControlPlanes and Workers say how many of each instead.
	Nodes, ControlPlanes, Workers int
	// Image is a node image that the engine holds, else the one of KubernetesVersion,
	// which is built if need be.
	Image, KubernetesVersion string
	// Runtime and OCIRuntime are those of all nodes.
	Runtime, OCIRuntime string
	// Ephemeral spares the disk: the cluster does not survive a power cut.
	Ephemeral bool
	Addons    []string

	// Kubeconfig is a file to merge a context into; "" for none. See
	// Cluster.Kubeconfig.
	Kubeconfig string
	// Retain keeps what a create that fails has made, for a look.
	Retain bool
	// Timeout bounds the time from the start of the nodes until the cluster is ready;
	// five minutes if it is 0. The build of an image does not count.
	Timeout time.Duration
}

// createTime bounds a create, unless another time is given.
const createTime = 5 * time.Minute

// Create makes a cluster and returns when it is ready: all nodes are, and a pod has
// resolved a name. A create that fails, or whose context ends, removes what it made.
func (e *Engine) Create(ctx context.Context, opt CreateOptions) (*Cluster, error) {
	cfg, err := opt.resolve()
	if err != nil {
		return nil, err
	}
	if err := doctor.RaiseInotify(e.log); err != nil {
		return nil, err
	}
	if opt.Timeout == 0 {
		opt.Timeout = createTime
	}
	_, err = e.manager.Create(ctx, cluster.CreateOptions{
		Config: cfg, Wait: opt.Timeout, Retain: opt.Retain, Kubeconfig: opt.Kubeconfig, NoKubeconfig: opt.Kubeconfig == "",
	})
	if err != nil {
		return nil, err
	}
	return &Cluster{engine: e, name: cfg.Name}, nil
}

// resolve gives the cluster that is wished for, or every problem at once.
func (o CreateOptions) resolve() (*config.Cluster, error) {
	options, err := local.Config()
	if err != nil {
		return nil, err
	}
	flags := config.Flags{
		Name: o.Name, Image: o.Image, KubernetesVersion: o.KubernetesVersion, Runtime: o.Runtime, OCIRuntime: o.OCIRuntime,
		Nodes: unlessZero(o.Nodes), ControlPlanes: unlessZero(o.ControlPlanes), Workers: unlessZero(o.Workers),
		Ephemeral: unlessZero(o.Ephemeral), Addons: o.Addons,
	}
	switch {
	case o.Config != nil && o.ConfigFile != "":
		return nil, errors.New("both Config and ConfigFile are given")
	case o.ConfigFile != "":
		return config.Load(o.ConfigFile, strings.NewReader(""), flags, options)
	case o.Config == nil:
		return config.FromFlags(flags, options)
	}
	wish := *o.Config
	wish.APIVersion, wish.Kind = v1alpha1.APIVersion, v1alpha1.Kind
	text, err := yaml.Marshal(wish)
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	return config.Parse("Config", text, flags, options)
}

// unlessZero is a flag that was given.
func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// Open gives a cluster that exists. The error is ErrNotFound if it does not.
func (e *Engine) Open(ctx context.Context, name string) (*Cluster, error) {
	infos, err := e.manager.Nodes(ctx, name)
	if err != nil {
		return nil, told(err)
	}
	if len(infos) == 0 { // with the name "" it is asked for all
		return nil, ErrNotFound
	}
	return &Cluster{engine: e, name: name}, nil
}

// Clusters names all clusters of the engine.
func (e *Engine) Clusters(ctx context.Context) ([]string, error) {
	infos, err := e.manager.List(ctx)
	names := make([]string, 0, len(infos))
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names, err
}

// Delete removes a cluster, whole or in parts, with its entry in kubeconfigs. One that
// does not exist is no error; no name is ErrNotFound.
func (e *Engine) Delete(ctx context.Context, name string) error {
	_, err := e.manager.Delete(ctx, name, "")
	return told(err)
}

// told makes an error of something that does not exist one that is ErrNotFound.
func told(err error) error {
	if _, ok := errors.AsType[*cluster.NotFoundError](err); ok {
		return &notFoundError{err}
	}
	return err
}

type notFoundError struct{ error }

func (e *notFoundError) Unwrap() error        { return e.error }
func (e *notFoundError) Is(target error) bool { return target == ErrNotFound }

// Cluster is a cluster by its name.
type Cluster struct {
	engine *Engine
	name   string
}

// Name is the cluster's.
func (c *Cluster) Name() string { return c.name }

// Delete removes the cluster. That it is gone already is no error.
func (c *Cluster) Delete(ctx context.Context) error { return c.engine.Delete(ctx, c.name) }

// Kubeconfig is a kubeconfig of the cluster's administrator, for use on this machine.
func (c *Cluster) Kubeconfig(ctx context.Context) ([]byte, error) {
	conf, err := c.engine.manager.Kubeconfig(ctx, c.name, false)
	return conf, told(err)
}

// RESTConfig is the configuration of a client of the cluster, the administrator's,
// without limits of its own.
func (c *Cluster) RESTConfig(ctx context.Context) (*rest.Config, error) {
	conf, err := c.Kubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	rc, err := clientcmd.RESTConfigFromKubeConfig(conf)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of %q: %w", c.name, err)
	}
	rc.QPS = -1
	return rc, nil
}

// LoadImages brings images that the engine holds into the nodes, or into those that are
// named; each gets only the layers that it lacks.
func (c *Cluster) LoadImages(ctx context.Context, images []string, nodes ...string) error {
	return told(c.engine.manager.Load(ctx, cluster.LoadOptions{Cluster: c.name, Nodes: nodes, Images: images}))
}

// LoadArchive is LoadImages of an archive, as the engine or an OCI tool writes it.
func (c *Cluster) LoadArchive(ctx context.Context, file string, nodes ...string) error {
	return told(c.engine.manager.Load(ctx, cluster.LoadOptions{Cluster: c.name, Nodes: nodes, Archive: file}))
}
