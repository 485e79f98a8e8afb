package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"github.com/kluster-project/kluster/internal/pki"
	"github.com/kluster-project/kluster/provider"
)

// Ports of etcd.
const (
	etcdClientPort = 2379
	etcdPeerPort   = 2380
	// etcdAnswerSeconds bounds a question to a member, and etcdActSeconds a change of the
	// members.
	etcdAnswerSeconds, etcdActSeconds = 3, 15
)

// etcdMember is a member as etcd's own list has it. One that has not started yet has no
// name.
type etcdMember struct {
	ID        string   `json:"ID"`
	Name      string   `json:"name"`
	PeerURLs  []string `json:"peerURLs"`
	IsLearner bool     `json:"isLearner"`
}

// etcd is that of a cluster, asked in one of its control planes with the certificate that
// this has: curl talks to etcd's own gateway, whatever runs the containers there.
type etcd struct {
	m   *Manager
	via provider.Node
}

// anEtcd finds a control plane that runs and whose member answers, except some.
func (m *Manager) anEtcd(ctx context.Context, machines []provider.Node, except ...string) (etcd, error) {
	last := errors.New("none of them runs")
	for _, n := range machines {
		if !isControlPlane(n) || slices.Contains(except, n.Name) || n.State != provider.StateRunning {
			continue
		}
		e := etcd{m, n}
		if last = e.answers(ctx, n.Addrs[0]); last == nil {
			return e, nil
		}
	}
	return etcd{}, fmt.Errorf("no control plane is left whose etcd answers: %w", last)
}

// answers fails if the member at an address does not.
func (e etcd) answers(ctx context.Context, at netip.Addr) error {
	return e.ask(ctx, at, "/health?serializable=true", nil, nil)
}

// members are all of etcd's, learners included.
func (e etcd) members(ctx context.Context) ([]etcdMember, error) {
	var list struct{ Members []etcdMember }
	err := e.ask(ctx, e.via.Addrs[0], "/v3/cluster/member/list", struct{}{}, &list)
	if err != nil {
		return nil, fmt.Errorf("asking etcd for its members: %w", err)
	}
	return list.Members, nil
}

// remove takes a member away.
func (e etcd) remove(ctx context.Context, member etcdMember) error {
	err := e.ask(ctx, e.via.Addrs[0], "/v3/cluster/member/remove", map[string]string{"ID": member.ID}, nil)
	if err != nil {
		return fmt.Errorf("removing the member of etcd: %w", err)
	}
	return nil
}

// handOver makes another member the leader if this one is it, so that nobody waits for an
// election. Without it there is one.
func (e etcd) handOver(ctx context.Context, from netip.Addr, member etcdMember, to string) {
	var state struct {
		Leader string `json:"leader"`
	}
	if e.ask(ctx, from, "/v3/maintenance/status", struct{}{}, &state) != nil || state.Leader != member.ID {
		return
	}
	_ = e.ask(ctx, from, "/v3/maintenance/transfer-leadership", map[string]string{"targetID": to}, nil)
}

// ask sends a request to the member at an address, a GET without a body.
func (e etcd) ask(ctx context.Context, at netip.Addr, path string, body, into any) error {
	files, limit := pki.Dir+"/etcd/", etcdAnswerSeconds
	if body != nil {
		limit = etcdActSeconds
	}
	args := []string{
		"curl", "--silent", "--show-error", "--fail-with-body", "--noproxy", "*", "--max-time", strconv.Itoa(limit),
		"--cacert", files + "ca.crt", "--cert", files + "server.crt", "--key", files + "server.key",
	}
	cmd := provider.Command{Args: args}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding a request to etcd: %w", err)
		}
		cmd.Args = append(cmd.Args, "--data", string(text))
	}
	var out bytes.Buffer
	cmd.Args, cmd.Stdout = append(cmd.Args, "https://"+netip.AddrPortFrom(at, etcdClientPort).String()+path), &out
	if err := e.m.provider.Exec(ctx, e.via.ID, cmd); err != nil {
		return etcdError(out.Bytes(), err)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		return fmt.Errorf("reading what etcd says: %w", err)
	}
	return nil
}

// etcdError is what etcd says of a failure, if it says anything.
func etcdError(said []byte, err error) error {
	var answer struct{ Message string }
	if json.Unmarshal(said, &answer) == nil && answer.Message != "" {
		return errors.New(answer.Message)
	}
	return err
}

// memberOf finds the member of a node, by its name or by its address.
func memberOf(members []etcdMember, n provider.Node) (etcdMember, bool) {
	i := slices.IndexFunc(members, func(m etcdMember) bool {
		return m.Name == n.Name || slices.ContainsFunc(n.Addrs, func(a netip.Addr) bool {
			return slices.Contains(m.PeerURLs, "https://"+netip.AddrPortFrom(a, etcdPeerPort).String())
		})
	})
	if i < 0 {
		return etcdMember{}, false
	}
	return members[i], true
}

// voting are the members that vote.
func voting(members []etcdMember) []etcdMember {
	return slices.DeleteFunc(slices.Clone(members), func(m etcdMember) bool { return m.IsLearner })
}

// well are those of the members, by ID, that answer.
func (e etcd) well(ctx context.Context, members []etcdMember, machines []provider.Node) map[string]bool {
	var mu sync.Mutex
	var looks sync.WaitGroup
	found := map[string]bool{}
	for _, n := range machines {
		member, ok := memberOf(members, n)
		if !ok || !isControlPlane(n) || n.State != provider.StateRunning {
			continue
		}
		looks.Go(func() {
			if e.answers(ctx, n.Addrs[0]) == nil {
				mu.Lock()
				defer mu.Unlock()
				found[member.ID] = true
			}
		})
	}
	looks.Wait()
	return found
}

// quorum is how many of so many members must agree.
func quorum(voters int) int { return voters/2 + 1 }
