package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/kubeadm"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/pki"
	"github.com/kluster-project/kluster/internal/wait"
	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// CreateOptions say what to create and how.
type CreateOptions struct {
	Config *config.Cluster
	// Wait bounds the time from the start of the nodes to a ready cluster.
	Wait time.Duration
	// Retain keeps what a failed create has made, for a look.
	Retain bool
	// Kubeconfig is the file to merge into; "" for the usual rules.
	Kubeconfig string
	// NoKubeconfig merges into none.
	NoKubeconfig bool
	// OnStep, if not nil, hears each step's name before it runs.
	OnStep func(ctx context.Context, name string)
}

// rollbackTime bounds the clean-up after a failed create; it has a context of
// its own, since the create's may have ended.
const rollbackTime = 2 * time.Minute

// creation is a create under way.
type creation struct {
	m     *Manager
	opt   CreateOptions
	cfg   *config.Cluster
	id    string // random; on every object, so that a roll-back removes its own only
	began time.Time
	made  bool // objects may exist

	observer *observer // of a traced create, once there are certificates

	host       provider.Host
	image      map[string]string            // node name to image
	runs       map[string]runs              // node name to what can run its containers
	layers     map[string]map[string]string // image to its folders of one layer; see layersOf
	pauseImage string
	mirrors    map[string][]nodespec.Mirror // by source, nodespec.MirrorsOfUser and so on
	images     images
	secrets    []nodespec.File // credentials of registries, for every node
	facts      facts
	labels     map[string]string
	addrs      map[string][]netip.Addr
	nodes      map[string]provider.Node // by name, the load balancer included
	ca         *pki.Authority
	kubeadm    map[string]kubeadm.Node
	client     kubernetes.Interface
	dynamic    dynamic.Interface
	kubeconfig string        // absolute path of the file that the entry goes into
	merged     bool          // that file may hold the entry
	server     string        // the API's URL on the host
	dnsRuns    chan struct{} // closed when the pods of cluster DNS run
	notes      []string

	addons *addonJob // those that were asked for, nil if none were
}

// Create makes a cluster and returns when it is ready, or removes whatever it
// has made and says why.
func (m *Manager) Create(ctx context.Context, opt CreateOptions) (*Summary, error) {
	self, err := thisProcess()
	if err != nil {
		return nil, err
	}
	// Keeps Prune from the image that is about to be used. A cache that cannot be locked
	// cannot be pruned either.
	if release, err := nodeimage.UseCache(ctx, m.cacheDir); err == nil {
		defer release()
	}
	id, cfg := rand.Text(), *opt.Config
	c := &creation{
		m: m.traced(ctx), opt: opt, cfg: &cfg, id: id, began: time.Now(),
		image: map[string]string{}, runs: map[string]runs{}, layers: map[string]map[string]string{}, addrs: map[string][]netip.Addr{}, nodes: map[string]provider.Node{},
		dnsRuns: make(chan struct{}), mirrors: map[string][]nodespec.Mirror{
			nodespec.MirrorsOfCaches: mirrorsOf(registrySpecs(cfg.Registries)),
		},
		labels: map[string]string{
			nodespec.LabelCluster:  opt.Config.Name,
			nodespec.LabelCreation: id,
			nodespec.LabelCreator:  self.String(),
		},
	}
	var s *Summary
	if err = runPlan(ctx, c.plan(), c); err == nil {
		if s, err = c.summary(ctx); err != nil && ctx.Err() != nil {
			err = causeOf(ctx, err)
		}
	}
	c.addons.close()
	c.endTrace(ctx)
	if err != nil {
		return nil, c.fail(ctx, err)
	}
	return s, nil
}

// fail gathers evidence, rolls back, and returns err with both noted.
func (c *creation) fail(ctx context.Context, err error) error {
	if !c.made {
		return err
	}
	deleted := ctx.Err() == nil && c.isDeleted(ctx)
	switch {
	case deleted:
		err = fmt.Errorf("cluster %q was deleted while it was being created: %w", c.cfg.Name, err)
	case ctx.Err() == nil:
		err = c.withEvidence(ctx, c.withSpace(ctx, err))
	}
	if c.opt.Retain && !deleted {
		return fmt.Errorf("%w\n(kept as asked; remove it with: kluster delete %s)", err, c.cfg.Name)
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	done := c.m.reporter.Start("removing what was made", 0)
	rerr := c.rollback(clean)
	done(rerr)
	return errors.Join(err, rerr)
}

// isDeleted says whether somebody has removed the machine that holds the name.
func (c *creation) isDeleted(ctx context.Context) bool {
	if _, made := c.nodes[LoadBalancerName(c.cfg.Name)]; !made {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var last []provider.Node
	for changed := time.Now(); ; {
		nodes, err := c.m.provider.Nodes(ctx, provider.Selector{nodespec.LabelCreation: c.id})
		if err != nil {
			return false
		}
		if !slices.ContainsFunc(nodes, isLoadBalancer) {
			return true
		}
		if slices.ContainsFunc(nodes, isRemoved) || !slices.EqualFunc(nodes, last, sameLife) {
			last, changed = nodes, time.Now()
		}
		// A delete removes machines at the same time, and this one need not be the first to go.
		if !c.someGo(nodes) || time.Since(changed) >= goingTime || !wait.For(ctx, goingLook) {
			return false
		}
	}
}

const (
	// goingTime is how long after the last machine that went the others are taken to stay.
	goingTime = 2 * time.Second
	// goingLook is the pause between looks at machines that go.
	goingLook = 250 * time.Millisecond
)

// sameLife says whether nothing has become of a machine between two looks.
func sameLife(a, b provider.Node) bool {
	return a.ID == b.ID && a.State == b.State
}

func isRemoved(n provider.Node) bool { return n.Removing }

// someGo says whether machines of this create are being removed, or have gone.
func (c *creation) someGo(now []provider.Node) bool {
	there := map[string]bool{}
	for _, n := range now {
		if there[n.ID] = true; n.Removing {
			return true
		}
	}
	for _, n := range c.nodes {
		if !there[n.ID] {
			return true
		}
	}
	return false
}

func (c *creation) rollback(ctx context.Context) error {
	err := errors.Join(c.removeKubeconfig(ctx), c.removeMade(ctx))
	if err != nil {
		return fmt.Errorf("rolling back (kluster delete %s goes on with it): %w", c.cfg.Name, err)
	}
	return nil
}

const (
	// engineBack is how long a roll-back waits for an engine that does not answer:
	// one that is restarted brings back what the create had made.
	engineBack = time.Minute
	// engineLook is the pause between looks.
	engineLook = 500 * time.Millisecond
)

// removeMade removes what this create has made.
func (c *creation) removeMade(ctx context.Context) error {
	remove := func() error { return c.m.provider.Remove(ctx, provider.Selector{nodespec.LabelCreation: c.id}) }
	err := remove()
	if !errors.Is(err, provider.ErrUnavailable) {
		return err
	}
	c.m.reporter.Note("the engine does not answer; waiting %v for it", engineBack)
	for until := time.Now().Add(engineBack); errors.Is(err, provider.ErrUnavailable) && time.Now().Before(until); err = remove() {
		if !wait.For(ctx, engineLook) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
	return err
}

// eachNode runs f for all nodes of these roles at once.
func (c *creation) eachNode(ctx context.Context, f func(ctx context.Context, i int, n config.Node) error, roles ...nodespec.Role) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, n := range c.cfg.Nodes {
		for _, r := range roles {
			if n.Role == r {
				g.Go(func() error { return f(ctx, i, n) })
			}
		}
	}
	return g.Wait()
}

// ephemeralNote is what the user of an ephemeral cluster must know.
const ephemeralNote = "ephemeral: this cluster does not survive a power cut or a crash of its host, since etcd does not wait for the disk"

// summary describes what was made, as the engine sees it now.
func (c *creation) summary(ctx context.Context) (*Summary, error) {
	if c.cfg.Ephemeral {
		c.note(ephemeralNote)
	}
	for _, note := range exposed(c.cfg.Networking) {
		c.note(note)
	}
	c.noteRuntimes()
	nodes, err := c.m.Nodes(ctx, c.cfg.Name)
	if err != nil {
		return nil, err
	}
	// A delete that began before the kubeconfig was written does not know of the entry.
	if len(nodes) <= len(c.cfg.Nodes) {
		return nil, fmt.Errorf("%d of its %d machines are left", len(nodes), len(c.cfg.Nodes)+1)
	}
	s := &Summary{
		Name: c.cfg.Name, Kubernetes: c.facts.Kubernetes, Runtime: c.runtimeNames(),
		Image: c.image[c.cfg.Nodes[0].Name], Server: c.server,
		Context: ContextName(c.cfg.Name), Kubeconfig: c.kubeconfig, Notes: c.notes,
		Took: time.Since(c.began), Nodes: nodes, Addons: c.cfg.Addons,
	}
	s.Seconds = s.Took.Seconds()
	return s, nil
}
