package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/kluster-project/kluster/internal/addons"
	"github.com/kluster-project/kluster/internal/failure"
)

// AddonInfo is an add-on, and whether a cluster has it.
type AddonInfo struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Requires    []string `json:"requires,omitempty"`
	Images      []string `json:"images,omitempty"` // whole names
	// State is "installed", "incomplete" (an install has not ended well), or "" if the
	// cluster does not have it or none was asked.
	State string `json:"state,omitempty"`
}

// AddonOptions say what to install or uninstall.
type AddonOptions struct {
	Cluster string
	Names   []string
	// Wait bounds the time from the first change of the cluster to the end.
	Wait time.Duration
}

// Addons lists the add-ons that there are, and with a cluster which of them, and
// perhaps others of another kluster, it has.
func (m *Manager) Addons(ctx context.Context, cluster string) ([]AddonInfo, error) {
	table, err := addons.Load()
	if err != nil {
		return nil, err
	}
	var have []record
	if cluster != "" {
		client, err := m.dynamicOf(ctx, cluster)
		if err != nil {
			return nil, err
		}
		if have, err = readRecords(ctx, client); err != nil {
			return nil, err
		}
	}
	var infos []AddonInfo
	for _, a := range table.All() {
		j, err := m.newAddonJob([]string{a.Name})
		if err != nil {
			return nil, err
		}
		infos = append(infos, AddonInfo{Name: a.Name, Description: a.Description, Requires: a.Requires, Images: j.refs})
	}
	for _, r := range have {
		i := slices.IndexFunc(infos, func(info AddonInfo) bool { return info.Name == r.Name })
		if i < 0 {
			i = len(infos)
			infos = append(infos, AddonInfo{Name: r.Name, Description: "installed by another version of kluster", Requires: r.Requires})
		}
		infos[i].State = r.state()
	}
	return infos, nil
}

func (r record) state() string {
	if r.Installed {
		return "installed"
	}
	return "incomplete"
}

// dynamicOf is a client of a cluster.
func (m *Manager) dynamicOf(ctx context.Context, cluster string) (dynamic.Interface, error) {
	conf, err := m.Kubeconfig(ctx, cluster, false)
	if err != nil {
		return nil, err
	}
	_, client, err := m.clients(conf)
	return client, err
}

// InstallAddons installs add-ons, and those that they require, in a cluster: images
// that nodes lack are built and loaded, manifests applied, and what they start waited
// for. It gives the names of all that are installed now. Unknown names change nothing;
// an add-on that fails is removed again unless it was there before.
func (m *Manager) InstallAddons(ctx context.Context, opt AddonOptions) (done []string, err error) {
	j, err := m.newAddonJob(opt.Names)
	if err != nil {
		return nil, err
	}
	nodes, f, err := m.machinesOf(ctx, opt.Cluster)
	if err != nil {
		return nil, err
	}
	if j.client, err = m.dynamicOf(ctx, opt.Cluster); err != nil {
		return nil, err
	}
	step := m.reporter.Step("add-ons", 0)
	defer func() { step.End(err) }()
	held, err := m.heldImages(ctx, nodes)
	if err != nil {
		return nil, err
	}
	lacking := lackingImages(j.refs, held)
	j.nodes = lackingNodes(nodes, lacking)
	defer j.close()
	if err := j.prepare(ctx, anyLacks(lacking), step); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, opt.Wait, &timeoutError{opt.Wait})
	defer cancel()
	if err := j.load(ctx, step); err != nil {
		return nil, err
	}
	values := addons.Values{Cluster: opt.Cluster, Kubernetes: f.Kubernetes, Subnets: f.Subnets}
	if err := j.install(ctx, values, step); err != nil {
		return nil, err
	}
	for _, a := range j.all {
		done = append(done, a.Name)
	}
	return done, nil
}

// UninstallAddons removes add-ons from a cluster with all that they own, and returns
// when nothing of them is left; custom resources that users made go with their kinds.
// Images stay in the nodes. One that is not installed, or that another requires, is an
// error that changes nothing.
func (m *Manager) UninstallAddons(ctx context.Context, opt AddonOptions) (err error) {
	client, err := m.dynamicOf(ctx, opt.Cluster)
	if err != nil {
		return err
	}
	have, err := readRecords(ctx, client)
	if err != nil {
		return err
	}
	going, err := leaving(have, opt.Names)
	if err != nil {
		return err
	}
	step := m.reporter.Step("removing add-ons", 0)
	defer func() { step.End(err) }()
	ctx, cancel := context.WithTimeoutCause(ctx, opt.Wait, &timeoutError{opt.Wait})
	defer cancel()
	for _, r := range going {
		one := step.Step(r.Name, 0)
		err := r.uninstall(ctx, client, one)
		one.End(err)
		if err != nil {
			return fmt.Errorf("add-on %s: %w", r.Name, err)
		}
	}
	return nil
}

// leaving are the records of the named add-ons, those that require others first.
func leaving(have []record, names []string) ([]record, error) {
	var installed []string
	for _, r := range have {
		installed = append(installed, r.Name)
	}
	var going []record
	for _, name := range names {
		i := slices.Index(installed, name)
		if i < 0 {
			return nil, failure.New(fmt.Sprintf("add-on %q is not installed", name),
				failure.Hint("installed: %s", listOrNone(installed)), failure.Exit(failure.CodeUsage))
		}
		for _, r := range have {
			if slices.Contains(r.Requires, name) && !slices.Contains(names, r.Name) {
				return nil, failure.New(fmt.Sprintf("add-on %q is required by %s", name, r.Name),
					failure.Hint("uninstall both: kluster addon uninstall %s %s", r.Name, name), failure.Exit(failure.CodeUsage))
			}
		}
		if !slices.ContainsFunc(going, func(r record) bool { return r.Name == name }) {
			going = append(going, have[i])
		}
	}
	return dependentsFirst(going), nil
}

// dependentsFirst puts add-ons before those that they require.
func dependentsFirst(left []record) []record {
	var out []record
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(r record) bool {
			return !slices.ContainsFunc(left, func(o record) bool { return slices.Contains(o.Requires, r.Name) })
		})
		i = max(i, 0) // records that go in circles are nobody's doing, and no reason to stay
		out, left = append(out, left[i]), slices.Delete(slices.Clone(left), i, i+1)
	}
	return out
}

func listOrNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
