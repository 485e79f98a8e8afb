// Package cluster makes, inspects and removes clusters. It knows Kubernetes and
// the order of things, and nothing of what nodes are made of: that is a
// provider.Provider. A create is a plan, a slice of named steps; whatever a
// failed or interrupted create has made is removed again.
//
// A cluster's state lives in the labels of its objects and in its nodes, never
// in a file on the host.
package cluster

import (
	"context"
	"net/http"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// Manager works on the clusters of one provider.
type Manager struct {
	provider provider.Provider
	reporter status.Reporter
	cacheDir string
	nodeBin  string
	program  string
	clients  func(conf []byte) (kubernetes.Interface, dynamic.Interface, error)
	readyz   func(ctx context.Context, client *http.Client, server string) error
	// startGuard starts the process that guards a fault.
	startGuard func(order []byte) (guardProcess, error)
}

// Options of a Manager.
type Options struct {
	// Reporter hears the steps of long work.
	Reporter status.Reporter
	// CacheDir holds built components and the logs of failed creates.
	CacheDir string
	// NodeBinary is the path of the kluster-node program that goes into node
	// images.
	NodeBinary string
	// Program is the path of the kluster program, which guards faults that nodes do not
	// undo themselves; without it there are none of these.
	Program string
}

// New returns a Manager.
func New(p provider.Provider, o Options) *Manager {
	m := &Manager{provider: p, reporter: o.Reporter, cacheDir: o.CacheDir, nodeBin: o.NodeBinary, program: o.Program, clients: clientsOf, readyz: readyz}
	m.startGuard = m.startGuardProcess
	return m
}

// Summary is what a create leaves.
type Summary struct {
	Name       string        `json:"name"`
	Kubernetes string        `json:"kubernetesVersion"`
	Runtime    string        `json:"runtime"`
	Image      string        `json:"image"`
	Server     string        `json:"server"`  // "https://127.0.0.1:40123"
	Context    string        `json:"context"` // of the kubeconfig
	Kubeconfig string        `json:"kubeconfig"`
	Nodes      []NodeInfo    `json:"nodes"`
	Addons     []string      `json:"addons,omitempty"`
	Notes      []string      `json:"notes,omitempty"`
	Took       time.Duration `json:"-"`
	Seconds    float64       `json:"seconds"`
}

// Info is a cluster as it is now.
type Info struct {
	Name       string     `json:"name"`
	Kubernetes string     `json:"kubernetesVersion"`
	Runtime    string     `json:"runtime"` // several with commas
	Status     string     `json:"status"`  // "running", "stopped", "paused", "degraded", "creating", "incomplete", "unknown"
	Server     string     `json:"server"`
	Created    time.Time  `json:"created"`
	Ephemeral  bool       `json:"ephemeral"` // made to be lost in a power cut of the host
	Nodes      []NodeInfo `json:"nodes"`
}

// NodeInfo is one machine of a cluster, the load balancer included.
type NodeInfo struct {
	Cluster   string   `json:"cluster"`
	Name      string   `json:"name"`
	Role      string   `json:"role"`
	State     string   `json:"state"`
	Addresses []string `json:"addresses"`
	Image     string   `json:"image"`
	Runtime   string   `json:"runtime,omitempty"` // its container runtime
}

// ContextName is the kubeconfig context of a cluster.
func ContextName(cluster string) string { return "kluster-" + cluster }

// LoadBalancerName is the name of a cluster's load balancer.
func LoadBalancerName(cluster string) string { return cluster + "-lb" }

// APIHost is the name of a cluster's API endpoint inside its nodes.
func APIHost(cluster string) string { return cluster + "-api" }
