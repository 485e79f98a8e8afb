package main

import (
	"context"
	"errors"
	"hash/crc32"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodeagent/apiproxy"
	"github.com/kluster-project/kluster/internal/nodeagent/boot"
	"github.com/kluster-project/kluster/internal/nodeagent/bootstrap"
	"github.com/kluster-project/kluster/internal/nodeagent/hostnet"
	"github.com/kluster-project/kluster/internal/nodeagent/netpol"
	"github.com/kluster-project/kluster/internal/nodeagent/podnet"
	"github.com/kluster-project/kluster/internal/nodeagent/servicelb"
	"github.com/kluster-project/kluster/internal/nodeagent/store"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// clusterCA signs the API servers' certificates; kubeadm's path.
const clusterCA = "/etc/kubernetes/pki/ca.crt"

// runStore runs before the container runtime.
func runStore(ctx context.Context, log *slog.Logger, args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	node, err := boot.ReadNode("")
	if err != nil {
		return err
	}
	runtime, err := cri.Get(node.Runtime)
	if err != nil {
		return err
	}
	return store.Link(ctx, runtime.Store, store.Dir(runtime), runtime.StateDir, log)
}

// runAPIProxy serves until it is told to stop. A machine of no cluster has
// nothing to proxy to.
func runAPIProxy(ctx context.Context, log *slog.Logger, args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	node, err := boot.ReadNode("")
	if err != nil {
		return err
	}
	if len(node.APIServers) == 0 {
		notifyReady(ctx, log)
		return nil
	}
	changes := apiServerChanges(ctx, log)
	port := strconv.Itoa(nodespec.APIPort)
	listeners, err := apiproxy.Listen(ctx, []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)})
	if err != nil {
		return err
	}
	release := holdAPIClients(ctx, ownServer(node), log)
	defer release(context.WithoutCancel(ctx))
	notifyReady(ctx, log)
	return apiproxy.Serve(ctx, apiproxy.Config{
		Servers: node.APIServers, Own: ownServer(node), Changes: changes, CAFile: clusterCA,
		Ready: release, Timing: apiproxy.DefaultTiming, Log: log,
	}, listeners)
}

// holdAPIClients sends the clients of this node's own API server, if it has yet to
// get one, through the proxy until release is called. Where that cannot be, the
// node only takes longer to start. At later starts they must be turned away: a
// kubelet that had pods asks the API about their volumes before it starts any, its
// API server among them, and goes on without an answer only if it is refused one.
func holdAPIClients(ctx context.Context, own string, log *slog.Logger) (release func(context.Context)) {
	nothing := func(context.Context) {}
	if own == "" || !bootstrap.Pending("") {
		return nothing
	}
	addr, err := netip.ParseAddrPort(own)
	if err != nil {
		log.Error("the address of the node's API server cannot be read", "error", err)
		return nothing
	}
	end, err := apiproxy.Redirect(ctx, addr, nodespec.APIPort)
	if err != nil {
		log.Error("clients of the API server are not held until it is ready", "error", err)
		return nothing
	}
	return func(ctx context.Context) {
		if err := end(ctx); err != nil {
			log.Error("clients of the API server still go through the proxy", "error", err)
		}
	}
}

// ownServer is the API server that has one of the node's addresses, or "".
func ownServer(node nodespec.Node) string {
	for _, server := range node.APIServers {
		host, _, err := net.SplitHostPort(server)
		if err != nil {
			continue
		}
		if addr, err := netip.ParseAddr(host); err == nil && slices.Contains(node.Addrs, addr) {
			return server
		}
	}
	return ""
}

// nearServer is the node's own API server, else one of the others, not the same for
// every node; the zero value if there is none.
func nearServer(node nodespec.Node) netip.AddrPort {
	server := ownServer(node)
	if n := len(node.APIServers); server == "" && n > 0 {
		server = node.APIServers[crc32.ChecksumIEEE([]byte(node.Name))%uint32(n)]
	}
	addr, err := netip.ParseAddrPort(server)
	if err != nil {
		return netip.AddrPort{}
	}
	return addr
}

// runNetwork is what a node does for the cluster's networks beside kube-proxy: the
// default pod network with its policies, where there is no other, and on control
// planes what serves Services of type LoadBalancer. Where there is neither, it ends at
// once, well.
func runNetwork(ctx context.Context, log *slog.Logger, args []string) error {
	if err := noArguments(args); err != nil {
		return err
	}
	node, err := boot.ReadNode("")
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if node.CNI == "default" {
		gate, err := netpol.NewGate(nodespec.PolicySocket, nodespec.PolicyMark, log)
		if err != nil {
			return err
		}
		group.Go(func() error { return runPodNetwork(ctx, log, node, gate) })
	}
	if node.Role == nodespec.RoleControlPlane {
		group.Go(func() error { return serviceBalancer(log, node).Run(ctx) })
	}
	// The service is up while it waits: the kubelet, which may come later in
	// the boot, is what brings what it waits for.
	notifyReady(ctx, log)
	return group.Wait()
}

func runPodNetwork(ctx context.Context, log *slog.Logger, node nodespec.Node, gate *netpol.Gate) error {
	service, err := podNetwork(ctx, log, node)
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped before there was a cluster
		}
		return err
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return service.Run(running) })
	group.Go(func() error { return networkPolicies(running, log, node, gate) })
	return group.Wait()
}

// networkPolicies holds the cluster's network policies on this node.
func networkPolicies(ctx context.Context, log *slog.Logger, node nodespec.Node, gate *netpol.Gate) error {
	service, err := netpol.Connect(ctx, nodespec.KubeletConf, node.Name, gate, log)
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it could read them
		}
		return err
	}
	return service.Run(ctx)
}

func serviceBalancer(log *slog.Logger, node nodespec.Node) *servicelb.Service {
	return &servicelb.Service{
		Made:       func(ctx context.Context) error { return bootstrap.Wait(ctx, "") },
		Kubeconfig: nodespec.AdminConf, Addrs: node.BalancerAddrs, Log: log,
		Turn:    max(0, slices.Index(node.APIServers, ownServer(node))),
		Cluster: servicelb.Kubectl{Kubeconfig: nodespec.AdminConf, Manifests: nodespec.BalancerManifests},
	}
}

func podNetwork(ctx context.Context, log *slog.Logger, node nodespec.Node) (*podnet.Service, error) {
	route, err := hostnet.DefaultRoute("")
	if err != nil && !errors.Is(err, hostnet.ErrNoDefaultRoute) {
		return nil, err
	}
	api, err := podnet.Connect(ctx, nodespec.KubeletConf, node.Name, log)
	if err != nil {
		return nil, err
	}
	return &podnet.Service{
		Name: node.Name, Pods: node.PodSubnets, Services: node.ServiceSubnets, API: nearServer(node),
		Cluster: api, Host: podnet.LinuxHost{NetworkFile: nodespec.NetworkFile, MTU: route.MTU}, Log: log,
	}, nil
}
