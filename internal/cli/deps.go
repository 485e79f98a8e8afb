package cli

import (
	"context"
	"io"
	"net/netip"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/logs"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// Clusters is what the verbs need of cluster.Manager.
type Clusters interface {
	Create(ctx context.Context, opt cluster.CreateOptions) (*cluster.Summary, error)
	Delete(ctx context.Context, name, kubeconfig string) (existed bool, err error)
	DeleteAll(ctx context.Context, kubeconfig string) ([]string, error)
	List(ctx context.Context) ([]cluster.Info, error)
	// Only gives name, or that of the only cluster when name is "".
	Only(ctx context.Context, name string) (string, error)
	Nodes(ctx context.Context, name string) ([]cluster.NodeInfo, error)
	// NodesNow is Nodes with the container runtimes of this moment.
	NodesNow(ctx context.Context, name string) ([]cluster.NodeInfo, error)
	// Runtimes lists what runs the containers of each node, and what could.
	Runtimes(ctx context.Context, name string) ([]cluster.NodeRuntime, error)
	SwapRuntime(ctx context.Context, opt cluster.SwapOptions) ([]cluster.Swapped, error)
	// ControlPlane names a running control plane.
	ControlPlane(ctx context.Context, name string) (string, error)
	Images(ctx context.Context) ([]cluster.ImageInfo, error)
	BuildImage(ctx context.Context, spec nodeimage.Spec) (cluster.ImageInfo, error)
	Kubeconfig(ctx context.Context, name string, internal bool) ([]byte, error)
	Load(ctx context.Context, opt cluster.LoadOptions) error
	Exec(ctx context.Context, name, node string, cmd provider.Command) error
	// ExportLogs takes all logs of a cluster into a folder.
	ExportLogs(ctx context.Context, opt cluster.ExportOptions) (*logs.Summary, error)
	// NodeLogs writes a node's journal, or what the load balancer printed.
	NodeLogs(ctx context.Context, name, node string, opt cluster.LogOptions, stdout, stderr io.Writer) error
	// PrepareConformance gives a cluster what Kubernetes' conformance specs start
	// and pull.
	PrepareConformance(ctx context.Context, name string) error
	ConformanceImages(ctx context.Context, name string) ([]cluster.PlacedImage, error)
	// PrepareCRI makes the nodes of a cluster of no use but for cri-tools' specs, with
	// the images that these pull.
	PrepareCRI(ctx context.Context, name string) ([]cluster.PlacedImage, error)
}

var _ Clusters = (*cluster.Manager)(nil)

// Deps are what the command works on; tests put fakes in.
type Deps struct {
	// Connect reaches the engine.
	Connect func(ctx context.Context) (provider.Provider, error)
	// Clusters gives the clusters of an engine.
	Clusters func(p provider.Provider, r status.Reporter) (Clusters, error)
	// FreeSubnets gives subnets for new clusters beside those taken.
	FreeSubnets func(taken []netip.Prefix) ([]netip.Prefix, error)
	// Config says what a cluster can be made of.
	Config func() (config.Options, error)
	// RaiseInotify raises the host's inotify limits where they are too low and
	// tells about it; nil leaves them.
	RaiseInotify func(w io.Writer) error
	// CacheDir is the folder of what image builds keep.
	CacheDir func() (string, error)
	// LookupEnv is os.LookupEnv when nil.
	LookupEnv func(name string) (string, bool)
}
