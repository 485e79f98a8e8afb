package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/logs"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/offline"
	"github.com/kluster-project/kluster/internal/registries"
	"github.com/kluster-project/kluster/internal/status"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// fakeDeps work on clusters that are only a file, named by $FAKE_STATE, so that
// the commands of one script see each other's. $FAKE_ERROR makes things fail.
func fakeDeps() Deps {
	return Deps{
		Connect: func(context.Context) (provider.Provider, error) {
			if os.Getenv("FAKE_ERROR") == "unavailable" {
				return nil, fmt.Errorf("reaching the engine: %w", provider.ErrUnavailable)
			}
			return fakeEngine{}, nil
		},
		Clusters: func(_ provider.Provider, r status.Reporter) (Clusters, error) { return &fakeClusters{reporter: r}, nil },
		FreeSubnets: func([]netip.Prefix) ([]netip.Prefix, error) {
			return []netip.Prefix{netip.MustParsePrefix("172.28.0.0/24")}, nil
		},
		Config: func() (config.Options, error) {
			return config.Options{KubernetesVersions: []string{"v1.36.3", "v1.35.4"}, Runtimes: []string{"containerd"}, Addons: []string{"figures", "ingress"}}, nil
		},
		CacheDir: func() (string, error) { return os.Getenv("FAKE_CACHE"), nil },
		RaiseInotify: func(w io.Writer) error {
			_, err := fmt.Fprintln(w, "raised a limit")
			return err
		},
	}
}

// fakeEngine can only be asked about itself.
type fakeEngine struct{ provider.Provider }

func (fakeEngine) Host(context.Context) (provider.Host, error) {
	free := int64(100 << 30)
	if os.Getenv("FAKE_ERROR") == "disk" {
		free = 1 << 20
	}
	return provider.Host{
		Engine: "Fake Engine 1.0", APIVersion: "1.48", Local: true, Endpoint: "fake:", CPUs: 4, Memory: 16 << 30,
		CgroupVersion: 2, StorageDriver: "overlay2", DataRoot: "/data", DataFree: free,
	}, nil
}

func (fakeEngine) Networks(context.Context, provider.Selector) ([]provider.Network, error) {
	return nil, nil
}

// fakeClusters is a Clusters whose state is $FAKE_STATE.
type fakeClusters struct{ reporter status.Reporter }

func (f *fakeClusters) load() ([]cluster.Info, error) {
	data, err := os.ReadFile(os.Getenv("FAKE_STATE"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var infos []cluster.Info
	return infos, json.Unmarshal(data, &infos)
}

func (f *fakeClusters) save(infos []cluster.Info) error {
	data, err := json.Marshal(infos)
	if err != nil {
		return err
	}
	return os.WriteFile(os.Getenv("FAKE_STATE"), data, 0o600)
}

// createErrors are what Create fails with, by $FAKE_ERROR.
var createErrors = map[string]error{
	"port":   fmt.Errorf("load balancer: %w", provider.ErrPortTaken),
	"subnet": fmt.Errorf("network: %w", provider.ErrSubnetTaken),
	"node": failure.With(errors.New("joining kluster-worker-1: kubelet ended"), failure.Output("no space\n"),
		failure.Log("/cache/logs"), failure.Hint("make room")),
}

func (f *fakeClusters) Create(ctx context.Context, opt cluster.CreateOptions) (*cluster.Summary, error) {
	done := f.reporter.Start("nodes", 0)
	err := createErrors[os.Getenv("FAKE_ERROR")]
	if os.Getenv("FAKE_ERROR") == "wait" { // until interrupted
		<-ctx.Done()
		err = context.Cause(ctx)
	}
	done(err)
	if err != nil {
		return nil, err
	}
	infos, err := f.load()
	if err != nil {
		return nil, err
	}
	info := cluster.Info{Name: opt.Config.Name, Kubernetes: "v1.36.3", Runtime: "containerd", Status: "running", Server: "https://127.0.0.1:40000", Ephemeral: opt.Config.Ephemeral}
	if os.Getenv("FAKE_ERROR") != "ageless" {
		info.Created = time.Now()
	}
	for _, role := range []string{"control-plane-1", "worker-1"} {
		info.Nodes = append(info.Nodes, cluster.NodeInfo{
			Cluster: info.Name, Name: info.Name + "-" + role, Role: role[:len(role)-2], State: "running",
			Addresses: []string{"172.28.0.2"}, Image: "kluster/node:v1.36.3", Runtime: "containerd",
		})
	}
	info.Nodes = append(info.Nodes, cluster.NodeInfo{
		Cluster: info.Name, Name: cluster.LoadBalancerName(info.Name), Role: string(nodespec.RoleLoadBalancer),
		State: "running", Addresses: []string{"172.28.0.3"}, Image: "kluster/node:v1.36.3",
	})
	return &cluster.Summary{
		Name: info.Name, Context: cluster.ContextName(info.Name), Nodes: info.Nodes, Took: 11 * time.Second, Seconds: 11,
		Notes: []string{"a note"}, Addons: opt.Config.Addons,
	}, f.save(append(infos, info))
}

func (f *fakeClusters) Delete(_ context.Context, name, _ string) (bool, error) {
	infos, err := f.load()
	if err != nil {
		return false, err
	}
	left := slices.DeleteFunc(slices.Clone(infos), func(i cluster.Info) bool { return i.Name == name })
	return len(left) < len(infos), f.save(left)
}

func (f *fakeClusters) DeleteAll(context.Context, string) ([]string, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	return names, f.save(nil)
}

func (f *fakeClusters) List(context.Context) ([]cluster.Info, error) { return f.load() }

func (f *fakeClusters) names() ([]string, error) {
	infos, err := f.load()
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names, err
}

func (f *fakeClusters) Only(_ context.Context, name string) (string, error) {
	names, err := f.names()
	switch {
	case err != nil:
		return "", err
	case name != "" && !slices.Contains(names, name), len(names) == 0:
		return "", &cluster.NotFoundError{Kind: "cluster", Name: name, Known: names}
	case name != "":
		return name, nil
	case len(names) > 1:
		return "", failure.New("several clusters: "+strings.Join(names, ", "), failure.Exit(failure.CodeUsage))
	}
	return names[0], nil
}

func (f *fakeClusters) Nodes(_ context.Context, name string) ([]cluster.NodeInfo, error) {
	infos, err := f.load()
	var nodes []cluster.NodeInfo
	for _, i := range infos {
		if name == "" || name == i.Name {
			nodes = append(nodes, i.Nodes...)
		}
	}
	return nodes, err
}

func (f *fakeClusters) NodesNow(ctx context.Context, name string) ([]cluster.NodeInfo, error) {
	return f.Nodes(ctx, name)
}

func (f *fakeClusters) Runtimes(ctx context.Context, name string) ([]cluster.NodeRuntime, error) {
	nodes, err := f.Nodes(ctx, name)
	var all []cluster.NodeRuntime
	for _, n := range nodes {
		if n.Role != string(nodespec.RoleLoadBalancer) {
			all = append(all, cluster.NodeRuntime{
				Cluster: name, Node: n.Name, Runtime: orDefault(n.Runtime, "containerd"), OCIRuntime: "runc",
				Runtimes: []string{"containerd", "cri-o"}, OCIRuntimes: []string{"runc", "crun"}, Image: n.Image,
			})
		}
	}
	return all, err
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// SwapRuntime swaps at once. The second node fails with $FAKE_ERROR "swap", and a
// budget forbids all with "budget".
func (f *fakeClusters) SwapRuntime(_ context.Context, opt cluster.SwapOptions) ([]cluster.Swapped, error) {
	if os.Getenv("FAKE_ERROR") == "budget" {
		return nil, failure.New("node a: pods cannot be evicted: x/web; nothing was changed", failure.Exit(failure.CodeHost))
	}
	infos, err := f.load()
	if err != nil {
		return nil, err
	}
	var done []cluster.Swapped
	for _, info := range infos {
		for i := range info.Nodes {
			n := &info.Nodes[i]
			if n.Cluster != opt.Cluster || n.Role == string(nodespec.RoleLoadBalancer) || len(opt.Nodes) > 0 && !slices.Contains(opt.Nodes, n.Name) {
				continue
			}
			if os.Getenv("FAKE_ERROR") == "swap" && len(done) == 1 {
				return done, errors.New("node " + n.Name + ": runtime start: it ended; the node has containerd with runc as before")
			}
			f.reporter.Start(n.Name, 0)(nil)
			from := orDefault(n.Runtime, "containerd")
			n.Runtime = opt.Runtime
			done = append(done, cluster.Swapped{Node: n.Name, From: from + " with runc", To: opt.Runtime + " with runc", Swapped: from != opt.Runtime})
		}
	}
	return done, f.save(infos)
}

func (f *fakeClusters) ControlPlane(_ context.Context, name string) (string, error) {
	return name + "-control-plane-1", nil
}

func (f *fakeClusters) image(version string) cluster.ImageInfo {
	return cluster.ImageInfo{
		Ref: nodespec.ImageRepository + ":" + version, ID: "sha256:0", Size: 1_234_000_000,
		Manifest: nodespec.Manifest{Kubernetes: version, Runtimes: []string{"containerd"}},
	}
}

func (f *fakeClusters) Images(context.Context) ([]cluster.ImageInfo, error) {
	return []cluster.ImageInfo{f.image("v1.36.3")}, nil
}

func (f *fakeClusters) BuildImage(_ context.Context, spec nodeimage.Spec) (cluster.ImageInfo, error) {
	f.reporter.Start("node image", 0)(nil)
	return f.image(spec.Kubernetes), nil
}

func (f *fakeClusters) Kubeconfig(_ context.Context, name string, internal bool) ([]byte, error) {
	return fmt.Appendf(nil, "current-context: %s\ninternal: %v\n", cluster.ContextName(name), internal), nil
}

func (f *fakeClusters) UserKubeconfig(_ context.Context, opt cluster.UserOptions) ([]byte, error) {
	return fmt.Appendf(nil, "user: %s\ngroups: %s\nexpires: %v\n", opt.User, strings.Join(opt.Groups, " "), opt.Expires), nil
}

// CreateRegistries makes none that stay.
func (f *fakeClusters) CreateRegistries(_ context.Context, opt cluster.RegistryOptions) ([]registries.Info, error) {
	if os.Getenv("FAKE_ERROR") == "port" {
		return nil, failure.With(provider.ErrPortTaken, failure.Hint("choose another port"), failure.Exit(failure.CodeHost))
	}
	var made []registries.Info
	if opt.Local != nil {
		s := registries.Local(*opt.Local)
		made = append(made, registries.Info{Name: s.Name(), Kind: "registry", Address: s.Address(), State: "running", Clusters: []string{}})
	}
	for _, c := range opt.Caches {
		s := registries.Cache(c.Registry, c.URL)
		made = append(made, registries.Info{Name: s.Name(), Kind: "cache", Upstream: s.Upstream, URL: s.URL, State: "running", Clusters: []string{}})
	}
	return made, nil
}

// Registries are always the same two.
func (f *fakeClusters) Registries(ctx context.Context) ([]registries.Info, error) {
	local, hub := 5001, config.Cache{Registry: "docker.io"}
	all, err := f.CreateRegistries(ctx, cluster.RegistryOptions{Local: &local, Caches: []config.Cache{hub}})
	if err == nil {
		all[1].Clusters, all[1].Bytes = []string{"one", "two"}, 123_400_000
	}
	return all, err
}

func (f *fakeClusters) DeleteRegistries(_ context.Context, names []string, force bool) ([]string, error) {
	switch {
	case slices.Contains(names, "none"):
		return nil, &registries.NotFoundError{Name: "none", Known: []string{"docker.io"}}
	case len(names) == 0 && !force:
		return nil, failure.New("kluster-cache-docker.io is used by one, two", failure.Hint("--force removes it all the same"), failure.Exit(failure.CodeHost))
	case len(names) == 0:
		names = []string{"kluster-cache-docker.io", "kluster-registry"}
	}
	return names, nil
}

func (f *fakeClusters) ConnectRegistries(_ context.Context, cluster string, names []string) ([]string, error) {
	if len(names) == 0 {
		names = []string{"kluster-registry of " + cluster}
	}
	return names, nil
}

func (f *fakeClusters) DisconnectRegistries(_ context.Context, cluster string, names []string) ([]string, error) {
	if len(names) == 0 {
		names = []string{"kluster-registry no more of " + cluster}
	}
	return names, nil
}

func (f *fakeClusters) GiveCredentials(_ context.Context, cluster string, names []string) ([]string, error) {
	if len(names) == 0 {
		names = []string{"those that " + cluster + " has"}
	}
	return names, nil
}

func (f *fakeClusters) Load(_ context.Context, opt cluster.LoadOptions) error {
	f.reporter.Start(fmt.Sprintf("loading %v %s%s %s into %s %v verify=%v",
		opt.Images, opt.Archive, opt.Layout, opt.Name, opt.Cluster, opt.Nodes, opt.Verify), 0)(nil)
	return nil
}

// Addons are two, of which every cluster has the first.
func (f *fakeClusters) Addons(_ context.Context, name string) ([]cluster.AddonInfo, error) {
	infos := []cluster.AddonInfo{
		{Name: "figures", Description: "figures of pods", Images: []string{"registry.example/figures:v1"}},
		{Name: "ingress", Description: "ways in", Requires: []string{"figures"}},
	}
	if name != "" {
		if os.Getenv("FAKE_ERROR") == "stopped" {
			return nil, errors.New("no API")
		}
		infos[0].State = "installed"
	}
	return infos, nil
}

func (f *fakeClusters) InstallAddons(_ context.Context, opt cluster.AddonOptions) ([]string, error) {
	f.reporter.Start(fmt.Sprintf("installing %v into %s within %v", opt.Names, opt.Cluster, opt.Wait), 0)(nil)
	return append([]string{"figures"}, opt.Names...), nil
}

func (f *fakeClusters) UninstallAddons(_ context.Context, opt cluster.AddonOptions) error {
	if slices.Contains(opt.Names, "figures") {
		return failure.New(`add-on "figures" is required by ingress`, failure.Exit(failure.CodeUsage))
	}
	f.reporter.Start(fmt.Sprintf("removing %v from %s within %v", opt.Names, opt.Cluster, opt.Wait), 0)(nil)
	return nil
}

// Exec echoes what it is told, and its input; "false" fails, and a shell gives
// a program.
func (f *fakeClusters) Exec(_ context.Context, name, node string, cmd provider.Command) error {
	switch cmd.Args[0] {
	case "false":
		return &provider.ExecError{Node: node, Args: cmd.Args, Code: 7}
	case "sh":
		_, err := io.WriteString(cmd.Stdout, "#!/bin/sh\necho saved\n")
		return err
	}
	if _, err := fmt.Fprintf(cmd.Stdout, "%s %s %q\n", name, node, cmd.Args); err != nil || cmd.Stdin == nil {
		return err
	}
	_, err := io.Copy(cmd.Stdout, cmd.Stdin)
	return err
}

// ExportLogs writes a file. It finds one cause, and lasts until it is interrupted with
// $FAKE_ERROR "wait".
func (f *fakeClusters) ExportLogs(ctx context.Context, opt cluster.ExportOptions) (*logs.Summary, error) {
	if entries, _ := os.ReadDir(opt.Dir); len(entries) > 0 {
		return nil, failure.New("folder "+opt.Dir+" is not empty", failure.Exit(failure.CodeUsage))
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(opt.Dir, "summary.txt"), []byte("found\n"), 0o600); err != nil {
		return nil, err
	}
	s := &logs.Summary{
		Cluster: opt.Cluster, Dir: opt.Dir, Complete: true, Missing: []string{"journal of x: gone"},
		Causes: []logs.Cause{{Kind: logs.KindUnit, Node: "n", Text: "unit kubelet.service is inactive (dead)"}},
	}
	if os.Getenv("FAKE_ERROR") == "wait" {
		f.reporter.Note("exporting since zero: %t", opt.Since.IsZero())
		<-ctx.Done()
		return s, context.Cause(ctx)
	}
	return s, nil
}

// NodeLogs says what it was asked, and follows until it is interrupted.
func (f *fakeClusters) NodeLogs(ctx context.Context, name, node string, opt cluster.LogOptions, stdout, _ io.Writer) error {
	if _, err := fmt.Fprintf(stdout, "%s %s %q since zero %t\n", name, node, opt.Units, opt.Since.IsZero()); err != nil || !opt.Follow {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (f *fakeClusters) PrepareConformance(context.Context, string) error { return nil }

func (f *fakeClusters) PrepareCRI(context.Context, string) ([]cluster.PlacedImage, error) {
	return nil, nil
}

func (f *fakeClusters) ConformanceImages(context.Context, string) ([]cluster.PlacedImage, error) {
	return nil, nil
}

func (f *fakeClusters) SaveBundle(ctx context.Context, w io.Writer, opt cluster.SaveOptions) (*cluster.BundleInfo, error) {
	f.reporter.Note("saving %q %q e2e=%v %q", opt.Kubernetes, opt.Runtimes, opt.E2E, opt.Addons)
	_, err := io.WriteString(w, "a bundle\n")
	if os.Getenv("FAKE_ERROR") == "wait" { // until interrupted
		<-ctx.Done()
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return fakeBundle(9), nil
}

func (f *fakeClusters) LoadBundle(_ context.Context, r io.ReaderAt, size int64, _ cluster.SuiteSource) (*cluster.BundleInfo, error) {
	text, err := io.ReadAll(io.NewSectionReader(r, 0, size))
	if err == nil && string(text) != "a bundle\n" {
		err = &offline.ForeignError{Why: "it is empty"}
	}
	return fakeBundle(size), err
}

func fakeBundle(size int64) *cluster.BundleInfo {
	return &cluster.BundleInfo{Size: size, Contents: offline.Contents{
		Format: 1, Kubernetes: []string{"v1.36.3"}, Runtimes: []string{"containerd"}, E2E: true,
	}}
}

func (f *fakeClusters) Prune(_ context.Context, opt cluster.PruneOptions) (*cluster.Pruned, error) {
	if os.Getenv("FAKE_ERROR") == "busy" {
		return &cluster.Pruned{}, errors.New("a build is using the cache")
	}
	f.reporter.Note("pruning unused=%v dry-run=%v", opt.Unused, opt.DryRun)
	return &cluster.Pruned{DryRun: opt.DryRun, CacheBytes: 7e6, Items: []cluster.PrunedItem{
		{Kind: cluster.PrunedImage, Name: "kluster/node:old", Bytes: 1220e6},
		{Kind: cluster.PrunedCache, Name: "build-a-k", Bytes: 5e6},
		{Kind: cluster.PrunedCache, Name: "build-b-k", Bytes: 2e6},
	}}, nil
}

func (f *fakeClusters) Top(context.Context, string) (cluster.Looker, error) {
	return &fakeLooker{}, nil
}

// fakeLooker is a cluster of which a node and then the API go away.
type fakeLooker struct{ looks int }

func (l *fakeLooker) Look(context.Context) (*cluster.Use, error) {
	l.looks++
	pods := 7
	u := &cluster.Use{
		Cluster: "kluster", Time: time.Unix(0, 0).UTC(), CPU: 0.5, CPUs: 2, Memory: 600 << 20, HostMemory: 24 << 30,
		Nodes: []cluster.NodeUse{
			{Name: "kluster-control-plane-1", Role: "control-plane", State: "running", Runtime: "containerd", CPU: 0.5, Memory: 600 << 20, MemoryLimit: 24 << 30, Pods: &pods, Ready: "True"},
			{Name: "kluster-worker-1", Role: "worker", State: "stopped", Pods: &pods, Ready: "Unknown", Conditions: []string{"NodeStatusUnknown"}},
			{Name: "kluster-lb", Role: "load-balancer", State: "running", Memory: 20 << 20, MemoryLimit: 24 << 30},
		},
	}
	if l.looks > 2 || os.Getenv("FAKE_ERROR") == "api" {
		u.Problem = "the API tells nothing: no answer within 2s"
		for i := range u.Nodes {
			u.Nodes[i].Ready, u.Nodes[i].Pods, u.Nodes[i].Conditions = "", nil, nil
		}
	}
	return u, nil
}

// Faults of the fake are a file beside $FAKE_STATE, which nothing undoes but clear. The
// time of those that wait is up at once, but with $FAKE_ERROR "wait".
func (f *fakeClusters) Faults(context.Context, string) ([]fault.Active, error) {
	data, err := os.ReadFile(os.Getenv("FAKE_STATE") + ".faults")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var all []fault.Active
	err = errors.Join(err, json.Unmarshal(data, &all))
	if os.Getenv("FAKE_ERROR") == "silent" {
		err = errors.Join(err, errors.New("the faults of c-worker-2 are not known: it did not answer"))
	}
	return all, err
}

func (f *fakeClusters) saveFaults(all []fault.Active) error {
	data, err := json.Marshal(all)
	return errors.Join(err, os.WriteFile(os.Getenv("FAKE_STATE")+".faults", data, 0o600))
}

func (f *fakeClusters) Fault(ctx context.Context, name string, spec fault.Spec) (*fault.Active, error) {
	if os.Getenv("FAKE_ERROR") == "kernel" {
		return nil, failure.New("its kernel cannot; nothing was changed", failure.Exit(failure.CodeHost))
	}
	spec, err := spec.Complete()
	if err != nil {
		return nil, err
	}
	all, err := f.Faults(ctx, name)
	now := time.Now()
	a := fault.Active{
		ID: fmt.Sprintf("fault%d", len(all)+1), Cluster: name, Kind: spec.Kind, Nodes: spec.Nodes, Params: spec.Params,
		Since: now, Until: now.Add(spec.For), Undo: fault.ByNode,
	}
	if a.Lasts() {
		err = errors.Join(err, f.saveFaults(append(all, a)))
	}
	return &a, err
}

func (f *fakeClusters) AwaitFault(ctx context.Context, a fault.Active) error {
	if os.Getenv("FAKE_ERROR") == "wait" { // until interrupted
		<-ctx.Done()
		return context.Cause(ctx)
	}
	_, err := f.ClearFaults(ctx, a.Cluster, a.ID)
	return err
}

func (f *fakeClusters) ClearFaults(ctx context.Context, name string, ids ...string) ([]fault.Active, error) {
	all, err := f.Faults(ctx, name)
	if err != nil {
		return nil, err
	}
	var left, cleared []fault.Active
	for _, a := range all {
		if len(ids) == 0 || slices.Contains(ids, a.ID) {
			cleared = append(cleared, a)
		} else {
			left = append(left, a)
		}
	}
	if len(cleared) < len(ids) {
		return nil, &cluster.NotFoundError{Kind: "fault", Name: ids[0], Known: []string{}}
	}
	return cleared, f.saveFaults(left)
}

func (f *fakeClusters) UndoOverdue(context.Context) error {
	if os.Getenv("FAKE_ERROR") == "overdue" {
		return errors.New("undoing fault pause of x: no answer")
	}
	return nil
}

func (f *fakeClusters) Guard(context.Context, io.Reader, io.WriteCloser) error { return nil }
