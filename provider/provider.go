// Package provider says what a maker of machines must do for kluster: hold
// node images, make networks with fixed addresses, and make, start, reach and
// remove the machines ("nodes") of a cluster.
//
// It knows nothing of Kubernetes, and nothing above it knows what a node is
// made of; provider/docker makes nodes that are containers of a Docker engine.
// provider/providertest holds an in-memory provider for tests and the contract
// that every provider must pass.
package provider

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kluster-project/kluster/internal/pieces"
)

// Errors that callers tell apart with errors.Is. A provider wraps them with
// what it was doing and the engine's own words.
var (
	// ErrNotFound: the node, image or network does not exist.
	ErrNotFound = errors.New("not found")
	// ErrNameTaken: a node of that name exists. Node names are the one thing
	// an engine hands out atomically, so creation uses them as its lock.
	ErrNameTaken = errors.New("name is taken")
	// ErrSubnetTaken: the wanted subnet overlaps another network.
	ErrSubnetTaken = errors.New("subnet overlaps another network")
	// ErrPortTaken: the wanted host port is in use.
	ErrPortTaken = errors.New("host port is taken")
	// ErrNotRunning: the node does not run, or is paused.
	ErrNotRunning = errors.New("node does not run")
	// ErrNoSpace: the engine's disk is full.
	ErrNoSpace = errors.New("the engine's disk is full")
	// ErrUnavailable: the engine cannot be reached or used at all.
	ErrUnavailable = errors.New("engine is not available")
)

// Provider makes machines. All methods honour ctx, are safe for concurrent use,
// and return errors that name the object and what was being done.
type Provider interface {
	// Host describes the engine and the machine it runs on.
	// It returns ErrUnavailable when the engine cannot be reached.
	Host(ctx context.Context) (Host, error)

	// Images lists the images whose labels match sel.
	Images(ctx context.Context, sel Selector) ([]Image, error)
	// Image describes one image by reference; ErrNotFound if it is not held.
	Image(ctx context.Context, ref string) (Image, error)
	// LoadImage brings img into the engine under ref, sending only what the
	// engine lacks where it can. The tag appears only when all is there; ErrNoSpace
	// says what was needed.
	// progress may be nil; it is told bytes sent and bytes in all.
	LoadImage(ctx context.Context, ref string, img v1.Image, progress func(done, total int64)) error
	// ReadImage gives put those layers of an image that are wanted, by diff ID
	// ("sha256:..."), each once and in any order; then all is returned that makes
	// it an image. ErrNotFound if it is not held.
	ReadImage(ctx context.Context, ref string, wanted map[string]bool, put func(ImageLayer, io.Reader) error) (ImageContent, error)
	// OpenImage opens an image whose layers lie in files of this machine, to be read by
	// several at once. It sees that the files of those that are wanted are there, but not
	// that they are what their digests say. errors.ErrUnsupported says that only ReadImage
	// can read them.
	OpenImage(ctx context.Context, ref string, wanted map[string]bool) (ImageFiles, error)
	// RemoveImage removes ref; no error if it is not held.
	RemoveImage(ctx context.Context, ref string) error

	// Networks lists the networks whose labels match sel; the empty selector
	// lists every network of the engine, kluster's or not.
	Networks(ctx context.Context, sel Selector) ([]Network, error)
	// CreateNetwork makes a network; ErrSubnetTaken when its subnet overlaps.
	CreateNetwork(ctx context.Context, spec NetworkSpec) (Network, error)

	// Connect puts a node, running or not, on a further network, where it is also
	// found by names; ErrNotFound if there is no such node or network. It stays on
	// it over restarts. Being on it already is not an error; being on one that had its
	// name and has gone is not being on it.
	Connect(ctx context.Context, id, network string, names []string) error
	// Disconnect takes a node off a network, which need not exist any more: a node
	// does not start while it is on one that has gone. Not being on it is not an
	// error.
	Disconnect(ctx context.Context, id, network string) error

	// Nodes lists the nodes, running or not, whose labels match sel, by name.
	Nodes(ctx context.Context, sel Selector) ([]Node, error)
	// CreateNode makes a node and does not start it; its network need not
	// exist before StartNode. ErrNameTaken if the name is in use (nothing of
	// the other node is touched), ErrNotFound if the image is not held.
	CreateNode(ctx context.Context, spec NodeSpec) (Node, error)
	// StartNode starts a node; ErrPortTaken if a published port is in use.
	// Starting a running node is not an error; a paused one cannot be started.
	StartNode(ctx context.Context, id string) error
	// StopNode asks a node to stop and kills it after grace. It stays down until
	// StartNode, whatever becomes of the engine. Stopping one that does not run is not
	// an error: that it stays down holds from then on.
	StopNode(ctx context.Context, id string, grace time.Duration) error
	// KillNode sends a signal ("KILL", "TERM", ...) to a node's first process. KILL
	// also ends one that is paused; ErrNotRunning if it does not run. A node that is
	// killed is down until StartNode, or until the engine comes back (NodeSpec.Restart).
	KillNode(ctx context.Context, id, signal string) error
	// PauseNode freezes all processes of a node: they keep what they have, and their
	// connections, and do nothing. Pausing a paused node is not an error;
	// ErrNotRunning if it does not run.
	PauseNode(ctx context.Context, id string) error
	// UnpauseNode lets a paused node go on. One that is not paused is left as it is.
	UnpauseNode(ctx context.Context, id string) error

	// Exec runs a command in a running node and waits for it.
	// A command that ends with another code than 0 gives *ExecError.
	Exec(ctx context.Context, id string, cmd Command) error
	// CopyTo unpacks a tar stream below dir (which must exist) in a node,
	// started or not, keeping modes and numeric owners.
	CopyTo(ctx context.Context, id, dir string, tar io.Reader) error
	// CopyFrom gives a tar stream of a file or folder of a node, started or
	// not; ErrNotFound if there is no such path. The caller closes it.
	CopyFrom(ctx context.Context, id, path string) (io.ReadCloser, error)
	// Logs writes what the node's first process printed to w, started or not.
	Logs(ctx context.Context, id string, opt LogOptions, w io.Writer) error

	// Use tells what a node uses now; one that does not run uses nothing, the zero
	// Use. ErrNotFound if there is no such node.
	Use(ctx context.Context, id string) (Use, error)

	// Remove kills and removes every node (with its volumes), volume and
	// network whose labels match sel, which must not be empty. Nothing to
	// remove is not an error.
	Remove(ctx context.Context, sel Selector) error
	// Credentials are what the user of this machine has for a registry ("docker.io",
	// "registry.example:5000"); empty when there are none.
	Credentials(ctx context.Context, registry string) (Credentials, error)

	// Leftovers names, one per line of text ("volume x"), what of sel is
	// still there, nodes, volumes and networks alike.
	Leftovers(ctx context.Context, sel Selector) ([]string, error)
}

// Selector matches objects that carry all of these labels. An empty value
// matches any value of that label.
type Selector map[string]string

// Host is the engine and the machine it runs on.
type Host struct {
	// Engine is the engine's name and version, "Docker Engine 20.10.24".
	Engine string
	// EngineVersion and APIVersion as the engine writes them.
	EngineVersion, APIVersion string
	// Local says whether the engine runs on this machine (kluster refuses
	// others). Endpoint is where it answers, without credentials.
	Local    bool
	Endpoint string
	Kernel   string
	Arch     string // as Go names it: amd64, arm64
	CPUs     int
	Memory   int64 // bytes
	// CgroupVersion is 1 or 2; StorageDriver is the engine's.
	CgroupVersion int
	StorageDriver string
	// DataRoot is the folder the engine keeps its data in, and DataFree how
	// many bytes are free there (0 when it cannot be told).
	DataRoot string
	DataFree int64
	// Rootless says whether the engine runs without root.
	Rootless bool
	// MissingCaps are the capabilities ("CAP_SYS_RESOURCE") the engine itself
	// lacks, and so cannot give to a node.
	MissingCaps []string
	// ProxyEnv is the proxy configuration that containers should see, by
	// variable name in upper case (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
	ProxyEnv map[string]string
	// Prune and PruneNetworks are the engine's own commands that remove what
	// nothing uses: all of it, or networks alone. They are words for people.
	Prune, PruneNetworks string
}

// Image is an image the engine holds.
type Image struct {
	ID      string
	Refs    []string
	Labels  map[string]string
	Size    int64 // bytes
	Created time.Time
	// DiffIDs ("sha256:...") are its layers from the lowest up, and OS and Arch, as
	// Go names them, its platform. Images does not tell them.
	DiffIDs  []string
	OS, Arch string
}

// ImageLayer is a layer of an image as the engine gives it out.
type ImageLayer struct {
	// DiffID is the digest of the plain layer; Digest and Size (bytes) are of what is
	// read, which is compressed with gzip where Compressed.
	DiffID, Digest string
	Size           int64
	Compressed     bool
}

// ImageContent is an image without the content of its layers.
type ImageContent struct {
	Config []byte // whose digest is Image.ID
	Layers []ImageLayer
}

// ImageFiles is an image whose layers lie in files.
type ImageFiles interface {
	Content() ImageContent
	// Layer reads one of the layers that were wanted, by diff ID, as long as ctx lasts.
	Layer(ctx context.Context, diffID string) pieces.Seq
}

// NetworkSpec is a network to make.
type NetworkSpec struct {
	Name   string
	Labels map[string]string
	// Subnets are one IPv4 prefix, one IPv6 prefix, or one of each.
	Subnets []netip.Prefix
	// Dynamic is, per subnet, the range the engine hands addresses out of;
	// addresses outside it are for nodes with fixed ones.
	Dynamic []netip.Prefix
	// MTU in bytes; 0 for the engine's default.
	MTU int
}

// Network is a network of the engine.
type Network struct {
	ID, Name string
	Labels   map[string]string
	Subnets  []netip.Prefix
	Gateways []netip.Addr
}

// NodeSpec is a node to make.
type NodeSpec struct {
	Name    string // also its hostname
	Image   string
	Labels  map[string]string
	Network string // name of the network it is on; "" for the engine's default
	// NoNetwork puts it on none at all; Network must then be "".
	NoNetwork bool
	Addrs     []netip.Addr // fixed addresses, one per family of the network
	// Hosts are further entries of /etc/hosts: name to address.
	Hosts map[string]netip.Addr
	Env   map[string]string
	// Command replaces the image's own entry point and command when not empty.
	Command []string
	// StopSignal is what its first process is stopped with; "" for the image's own.
	StopSignal string
	// System asks for everything systemd and a container runtime need: the
	// capabilities that a node can have use of, as far as the engine has them, no
	// confinement, devices, a cgroup namespace of its own. Without it the node is an
	// ordinary one.
	System bool
	// Confined is for a node whose one program needs nothing but to read files and to
	// talk: it gets no capability, and no program in it can get one.
	Confined bool
	// User is the "UID:GID" that its programs run as; "" for the image's own.
	User string
	// Volumes are paths that get a volume of their own, empty at first, which
	// carries Labels and goes when the node goes.
	Volumes []string
	// LayerMounts are folders that exactly one layer of the image makes up,
	// each with that layer's diff ID ("sha256:..."). The node stacks file
	// systems of its own on them, or runs big programs from them. An engine
	// whose images pass through user space mounts them, read-only, from where
	// it keeps that layer: all nodes then have one copy of them in memory.
	// Others have nothing to do.
	LayerMounts map[string]string
	// Tmpfs are paths that live in memory.
	Tmpfs  []string
	Mounts []Mount
	Ports  []Port
	// CPUs and Memory (bytes) are hard limits; 0 is none.
	CPUs   float64
	Memory int64
	// Restart asks the engine to start the node again whenever it ends by itself, and
	// whenever the engine comes back, however that ended, unless StopNode has stopped it.
	Restart bool
}

// Mount is a host path inside a node.
type Mount struct {
	HostPath, Path string
	ReadOnly       bool
	SELinuxRelabel bool
	// Propagation is "", "private", "rslave" or "rshared".
	Propagation string
}

// Port publishes a port of a node on the host.
type Port struct {
	NodePort int
	// HostPort must be given: an engine's own choice changes at restarts.
	HostPort int
	HostAddr netip.Addr
	Protocol string // "tcp", "udp" or "sctp"
}

// State of a node.
type State string

// The states of a node.
const (
	StateCreated State = "created"
	StateRunning State = "running"
	StatePaused  State = "paused"
	StateStopped State = "stopped"
)

// Node is a machine as the engine sees it now.
type Node struct {
	ID, Name, Image string
	// Labels are the node's own and, below them, those of its image.
	Labels   map[string]string
	State    State
	ExitCode int
	Removing bool         // it is going, whatever State says
	Addrs    []netip.Addr // the fixed ones, also when it is stopped
	Networks []string     // names of those it is on, sorted, the engine's default among them
	// NetworkIDs are those of Networks, by name, as far as the engine has chosen them: one
	// that has gone is not that which has its name now.
	NetworkIDs map[string]string
	Ports      []Port
	Created    time.Time
}

// Credentials are a user's for a registry: a name and a password, or an identity
// token, which only a token server takes.
type Credentials struct {
	Username, Password string
	IdentityToken      string
}

// Use is what a node uses at a time.
type Use struct {
	At time.Time
	// CPU is the time that processors have worked for it since its start.
	CPU time.Duration
	// Memory (bytes) is its working set: without files that the kernel has read and can
	// forget. MemoryLimit is what it may use at most, that of the machine without a limit.
	Memory, MemoryLimit int64
}

// Command is a command to run in a node.
type Command struct {
	Args  []string
	Env   []string // "K=V"
	Dir   string
	Stdin io.Reader
	// Bulk says that Stdin is much, for which a quicker way is worth a look. One that is an
	// io.WriterTo is given the command's own pipe to write to, if that can be.
	Bulk bool
	// Stdout and Stderr may be nil. Stderr goes to Stdout with TTY.
	Stdout, Stderr io.Writer
	// TTY asks for a terminal of the given size.
	TTY        bool
	Cols, Rows uint
	// Resize, if not nil, gives new terminal sizes as columns, rows.
	Resize <-chan [2]uint
}

// LogOptions say which part of what a node printed is wanted.
type LogOptions struct {
	// Since leaves out what is older; zero is no bound.
	Since time.Time
	// Follow goes on with what is printed next, until the node stops or ctx ends,
	// which then is the error.
	Follow bool
}

// ExecError is a command that ended badly.
type ExecError struct {
	Node   string
	Args   []string
	Code   int
	Output string // the tail of what it wrote to stderr, where Command.Stderr was nil
}
