package cli

import (
	"context"
	"io"
	"net/netip"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/logs"
	"github.com/kluster-project/kluster/internal/registries"
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
	// AddNodes gives a cluster more nodes, and RemoveNodes takes some away.
	AddNodes(ctx context.Context, opt cluster.AddOptions) (*cluster.Added, error)
	RemoveNodes(ctx context.Context, opt cluster.RemoveOptions) ([]cluster.Removed, error)
	// Life stops, starts or pauses a cluster or some of its nodes.
	Life(ctx context.Context, opt cluster.LifeOptions) (*cluster.LifeResult, error)
	// ControlPlane names a running control plane.
	ControlPlane(ctx context.Context, name string) (string, error)
	Images(ctx context.Context) ([]cluster.ImageInfo, error)
	BuildImage(ctx context.Context, spec nodeimage.Spec) (cluster.ImageInfo, error)
	// SaveBundle writes what other machines need, and LoadBundle brings it there.
	SaveBundle(ctx context.Context, w io.Writer, opt cluster.SaveOptions) (*cluster.BundleInfo, error)
	LoadBundle(ctx context.Context, r io.ReaderAt, size int64, source cluster.SuiteSource) (*cluster.BundleInfo, error)
	// Top begins to look at what a cluster uses.
	Top(ctx context.Context, name string) (cluster.Looker, error)
	// Prune removes what no cluster uses.
	Prune(ctx context.Context, opt cluster.PruneOptions) (*cluster.Pruned, error)
	Kubeconfig(ctx context.Context, name string, internal bool) ([]byte, error)
	// UserKubeconfig gives one that may do what roles grant to a user.
	UserKubeconfig(ctx context.Context, opt cluster.UserOptions) ([]byte, error)
	Load(ctx context.Context, opt cluster.LoadOptions) error
	// Addons lists add-ons, and with a cluster which of them it has.
	Addons(ctx context.Context, name string) ([]cluster.AddonInfo, error)
	// InstallAddons gives the names of all that were installed.
	InstallAddons(ctx context.Context, opt cluster.AddonOptions) ([]string, error)
	UninstallAddons(ctx context.Context, opt cluster.AddonOptions) error
	Exec(ctx context.Context, name, node string, cmd provider.Command) error
	// ExportLogs takes all logs of a cluster into a folder.
	ExportLogs(ctx context.Context, opt cluster.ExportOptions) (*logs.Summary, error)
	// NodeLogs writes a node's journal, or what the load balancer printed.
	NodeLogs(ctx context.Context, name, node string, opt cluster.LogOptions, stdout, stderr io.Writer) error
	CreateRegistries(ctx context.Context, opt cluster.RegistryOptions) ([]registries.Info, error)
	Registries(ctx context.Context) ([]registries.Info, error)
	// DeleteRegistries removes those named, or all.
	DeleteRegistries(ctx context.Context, names []string, force bool) ([]string, error)
	// ConnectRegistries gives a cluster those named, or all.
	ConnectRegistries(ctx context.Context, cluster string, names []string) ([]string, error)
	// DisconnectRegistries takes those named, or all, from a cluster.
	DisconnectRegistries(ctx context.Context, cluster string, names []string) ([]string, error)
	// GiveCredentials lets nodes pull with the user's credentials of registries, or has
	// those that they have renewed.
	GiveCredentials(ctx context.Context, cluster string, registries []string) ([]string, error)
	// Fault begins a fault and returns when it holds, AwaitFault when it is undone.
	Fault(ctx context.Context, cluster string, spec fault.Spec) (*fault.Active, error)
	AwaitFault(ctx context.Context, a fault.Active) error
	Faults(ctx context.Context, cluster string) ([]fault.Active, error)
	// ClearFaults undoes those named, or all.
	ClearFaults(ctx context.Context, cluster string, ids ...string) ([]fault.Active, error)
	// UndoOverdue undoes faults that nobody else will undo, of all clusters.
	UndoOverdue(ctx context.Context) error
	// Guard does and undoes the fault of an order, and says so.
	Guard(ctx context.Context, order io.Reader, answers io.WriteCloser) error
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
