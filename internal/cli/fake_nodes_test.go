package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/failure"
)

// AddNodes makes them at once. It lasts until it is interrupted with $FAKE_ERROR "wait".
func (f *fakeClusters) AddNodes(ctx context.Context, opt cluster.AddOptions) (*cluster.Added, error) {
	if os.Getenv("FAKE_ERROR") == "wait" {
		f.reporter.Note("waiting")
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	infos, err := f.load()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(infos, func(c cluster.Info) bool { return c.Name == opt.Cluster })
	added := &cluster.Added{Cluster: opt.Cluster, Nodes: []cluster.NodeInfo{}, Notes: []string{"an odd number is better"}, Seconds: 1}
	for n := range opt.Count {
		added.Nodes = append(added.Nodes, cluster.NodeInfo{
			Cluster: opt.Cluster, Name: fmt.Sprintf("%s-%s-%d", opt.Cluster, opt.Role, n+8), Role: string(opt.Role), State: "running", Runtime: opt.Runtime,
		})
	}
	infos[i].Nodes = append(infos[i].Nodes, added.Nodes...)
	return added, f.save(infos)
}

// RemoveNodes removes them at once. It is refused with $FAKE_ERROR "quorum", and knows of a
// node "half" whose machine has gone.
func (f *fakeClusters) RemoveNodes(_ context.Context, opt cluster.RemoveOptions) ([]cluster.Removed, error) {
	if os.Getenv("FAKE_ERROR") == "quorum" && !opt.Force {
		return nil, failure.New("etcd would have 2 voting members", failure.Hint("--force does it all the same"), failure.Exit(failure.CodeHost))
	}
	infos, err := f.load()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(infos, func(c cluster.Info) bool { return c.Name == opt.Cluster })
	var done []cluster.Removed
	for _, name := range opt.Nodes {
		before := len(infos[i].Nodes)
		infos[i].Nodes = slices.DeleteFunc(infos[i].Nodes, func(n cluster.NodeInfo) bool { return n.Name == name })
		if len(infos[i].Nodes) == before && !strings.HasSuffix(name, "half") {
			return done, &cluster.NotFoundError{Kind: "node", Name: name}
		}
		done = append(done, cluster.Removed{Node: name, Role: "worker", Drained: true, Seconds: 1})
	}
	return done, f.save(infos)
}
