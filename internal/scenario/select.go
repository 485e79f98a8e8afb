package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

const (
	// selLeader is the node of etcd's leader, selFollowers are those of its other members.
	selLeader    = "leader"
	selFollowers = "followers"
	selAll       = "all" // nodes, without the load balancer
	// Of the nodes of a role: one by chance, or all; else a number, from 1 on.
	selAny = "any"
)

// selectorForm is any selector, or the name of a node.
var selectorForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/(any|all|[1-9][0-9]{0,2}))?$`)

const selectorHelp = `a node's name, "leader", "followers", "all", "load-balancer", "control-plane/1", "worker/any", "worker/all" or "$NAME" of an earlier fault`

// Machine is one of a cluster's.
type Machine struct {
	Name    string
	Role    nodespec.Role
	Running bool
}

// find resolves selectors at this moment, each machine once.
func (r *run) find(ctx context.Context, selectors []string) ([]Machine, error) {
	machines, err := r.cluster.Machines(ctx)
	if err != nil {
		return nil, err
	}
	var found []Machine
	for _, text := range selectors {
		some, err := r.findOne(ctx, machines, text)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			return nil, fmt.Errorf("%q selects no node of the cluster", text)
		}
		for _, m := range some {
			if !slices.Contains(found, m) {
				found = append(found, m)
			}
		}
	}
	return found, nil
}

func (r *run) findOne(ctx context.Context, machines []Machine, text string) ([]Machine, error) {
	if name, ok := strings.CutPrefix(text, "$"); ok {
		names := r.named(name)
		return pick(machines, func(m Machine) bool { return slices.Contains(names, m.Name) }), nil
	}
	role, which, ofRole := strings.Cut(text, "/")
	switch {
	case ofRole:
		return ofRoles(machines, nodespec.Role(role), which)
	case text == selAll:
		return pick(machines, func(m Machine) bool { return m.Role != nodespec.RoleLoadBalancer }), nil
	case text == selLeader, text == selFollowers:
		leader, err := r.cluster.Leader(ctx)
		if err != nil {
			return nil, err
		}
		return pick(machines, func(m Machine) bool {
			return m.Role == nodespec.RoleControlPlane && (m.Name == leader) == (text == selLeader)
		}), nil
	case text == string(nodespec.RoleLoadBalancer):
		return pick(machines, func(m Machine) bool { return m.Role == nodespec.RoleLoadBalancer }), nil
	}
	return pick(machines, func(m Machine) bool { return m.Name == text || m.Name == r.cluster.Name()+"-"+text }), nil
}

func ofRoles(machines []Machine, role nodespec.Role, which string) ([]Machine, error) {
	all := pick(machines, func(m Machine) bool { return m.Role == role })
	switch which {
	case selAll:
		return all, nil
	case selAny:
		running := pick(all, func(m Machine) bool { return m.Running })
		if len(running) == 0 {
			return nil, fmt.Errorf("no %s runs", role)
		}
		return []Machine{running[rand.IntN(len(running))]}, nil
	}
	n, err := strconv.Atoi(which)
	if err != nil {
		return nil, err
	}
	if n > len(all) {
		return nil, fmt.Errorf("there is no %s/%d: the cluster has %d", role, n, len(all))
	}
	return all[n-1 : n], nil
}

func pick(machines []Machine, is func(Machine) bool) []Machine {
	return slices.DeleteFunc(slices.Clone(machines), func(m Machine) bool { return !is(m) })
}

func names(machines []Machine) []string {
	all := make([]string, 0, len(machines))
	for _, m := range machines {
		all = append(all, m.Name)
	}
	return all
}

// meets sees that a cluster has what a scenario needs.
func (n Needs) meets(machines []Machine) error {
	var errs []error
	for _, need := range []struct {
		role nodespec.Role
		n    int
	}{{nodespec.RoleControlPlane, n.ControlPlanes}, {nodespec.RoleWorker, n.Workers}} {
		have := len(pick(machines, func(m Machine) bool { return m.Role == need.role && m.Running }))
		if have < need.n {
			errs = append(errs, fmt.Errorf("it needs %d running nodes of role %s, and the cluster has %d", need.n, need.role, have))
		}
	}
	return errors.Join(errs...)
}
