package cli

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/failure"
)

// lifeStates are what machines are after a verb.
var lifeStates = map[cluster.LifeVerb]string{
	cluster.Stop: "stopped", cluster.Start: "running", cluster.Restart: "running", cluster.Reboot: "running",
	cluster.Pause: "paused", cluster.Resume: "running",
}

// Life changes states at once. It is refused with $FAKE_ERROR "quorum", fails half way with
// "late", and lasts until it is interrupted with "wait".
func (f *fakeClusters) Life(ctx context.Context, opt cluster.LifeOptions) (*cluster.LifeResult, error) {
	result := &cluster.LifeResult{Cluster: opt.Cluster, Verb: opt.Verb, Nodes: []cluster.NodeLife{}, Seconds: 1}
	switch os.Getenv("FAKE_ERROR") {
	case "quorum":
		if !opt.Force {
			return result, failure.New("stopping it leaves 1 of 3 control planes", failure.Hint("--force does it all the same"), failure.Exit(failure.CodeHost))
		}
	case "wait":
		f.reporter.Note("waiting")
		<-ctx.Done()
		return result, context.Cause(ctx)
	}
	infos, err := f.load()
	if err != nil {
		return result, err
	}
	for i := range infos {
		for j := range infos[i].Nodes {
			n := &infos[i].Nodes[j]
			if infos[i].Name != opt.Cluster || len(opt.Nodes) > 0 && !slices.Contains(opt.Nodes, n.Name) {
				continue
			}
			before := n.State
			n.State = lifeStates[opt.Verb]
			result.Nodes = append(result.Nodes, cluster.NodeLife{
				Node: n.Name, Role: n.Role, Before: before, State: n.State, Changed: before != n.State, Ready: n.State == "running",
			})
			if os.Getenv("FAKE_ERROR") == "late" {
				return result, errors.New("not done within 5m0s")
			}
		}
	}
	return result, f.save(infos)
}
