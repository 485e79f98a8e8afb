package harness

import (
	"context"
	"encoding/json"
	"fmt"
)

// Member is an etcd member as etcd's own list names it.
type Member struct {
	ID         uint64   `json:"ID"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	Learner    bool     `json:"isLearner"`
}

const etcdPKI = "/etc/kubernetes/pki/etcd/"

// EtcdMembers asks the etcd of a control plane for its members.
func (c *Cluster) EtcdMembers(ctx context.Context, node string) ([]Member, error) {
	var list struct{ Members []Member }
	err := c.etcdctl(ctx, node, &list, "member", "list")
	return list.Members, err
}

// EtcdVoters asks the etcd of a control plane how many members vote and answer.
func (c *Cluster) EtcdVoters(ctx context.Context, node string) (int, error) {
	members, err := c.EtcdMembers(ctx, node)
	if err != nil {
		return 0, err
	}
	var health []struct {
		Endpoint string
		Health   bool
	}
	if err := c.etcdctl(ctx, node, &health, "endpoint", "health", "--cluster"); err != nil {
		return 0, err
	}
	healthy := map[string]bool{}
	for _, h := range health {
		healthy[h.Endpoint] = h.Health
	}
	voters := 0
	for _, m := range members {
		if !m.Learner && len(m.ClientURLs) > 0 && healthy[m.ClientURLs[0]] {
			voters++
		}
	}
	return voters, nil
}

// etcdctl runs etcdctl in the static pod of a control plane's etcd, which listens on the
// loopback address of the cluster's family.
func (c *Cluster) etcdctl(ctx context.Context, node string, into any, args ...string) error {
	cmd := append([]string{
		"etcdctl", "--endpoints=https://localhost:2379", "--cacert=" + etcdPKI + "ca.crt",
		"--cert=" + etcdPKI + "server.crt", "--key=" + etcdPKI + "server.key", "--write-out=json",
	}, args...)
	r := c.PodExec(ctx, "kube-system", "etcd-"+node, cmd...)
	// "endpoint health" ends with 1 when any member is ill, and still says which.
	if err := json.Unmarshal([]byte(r.Stdout), into); err != nil {
		return fmt.Errorf("reading what etcdctl said: %w\n%s", err, r)
	}
	return nil
}
