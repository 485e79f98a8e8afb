package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// pollEvery is how often the bench looks for what it cannot watch. It shares the
// processors with what it measures.
const pollEvery = 100 * time.Millisecond

// adminConfs are kubeadm's kubeconfigs, on every tool's control planes. The first
// needs no role binding, so that it works from the API server's first answer.
var adminConfs = []string{"/etc/kubernetes/super-admin.conf", "/etc/kubernetes/admin.conf"}

// observer watches one cluster come up, from outside.
type observer struct {
	engine  Engine
	tool    Tool
	cluster string
	every   time.Duration
	readLog logReader
	// connect makes a client from a kubeconfig and a server's address.
	connect func(conf []byte, address string) (kubernetes.Interface, error)
}

// seen is when things happened; the zero time for what did not.
type seen struct {
	api, ready, resolved time.Time
	kubelet              string // version
}

// usable is when all nodes were Ready and a pod had resolved the API's name.
func (s seen) usable() time.Time {
	if s.ready.After(s.resolved) {
		return s.ready
	}
	return s.resolved
}

// watch returns when the cluster with so many nodes is usable. What was seen
// until an error is given with it.
func (o *observer) watch(ctx context.Context, nodes int) (seen, error) {
	var s seen
	client, err := o.reach(ctx)
	if err != nil {
		return s, fmt.Errorf("reaching the cluster's API: %w", err)
	}
	s.api = time.Now()
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		s.ready, s.kubelet, err = o.nodesReady(ctx, client, nodes)
		return err
	})
	both.Go(func() (err error) {
		s.resolved, err = o.probe(ctx, client)
		return err
	})
	err = both.Wait()
	return s, err
}

// reach returns a client when the API of the first control plane to do so answers.
func (o *observer) reach(ctx context.Context) (kubernetes.Interface, error) {
	var client kubernetes.Interface
	last := errors.New("no control plane's container was seen")
	err := o.poll(ctx, func(ctx context.Context) bool {
		containers, err := o.engine.Containers(ctx, o.tool.ClusterLabel, o.cluster)
		if err != nil {
			last = err
			return false
		}
		for _, c := range containers {
			if c.Labels[o.tool.RoleLabel] != roleControlPlane || c.Address == "" {
				continue
			}
			if client, last = o.try(ctx, c); last == nil {
				return true
			}
		}
		return false
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, last)
	}
	return client, nil
}

// try connects to the API server in a container.
func (o *observer) try(ctx context.Context, c Container) (kubernetes.Interface, error) {
	conf, err := o.adminConf(ctx, c)
	if err != nil {
		return nil, err
	}
	client, err := o.connect(conf, c.Address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err = client.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	return client, err
}

func (o *observer) adminConf(ctx context.Context, c Container) ([]byte, error) {
	var last error
	for _, file := range adminConfs {
		conf, err := o.engine.ReadFile(ctx, c, file)
		if err == nil {
			return conf, nil
		}
		last = fmt.Errorf("reading %s in %s: %w", file, c.Name, err)
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return nil, last
}

// connect is the observer's connect for real clusters: the API server itself,
// with no proxy and no load balancer between.
func connect(conf []byte, address string) (kubernetes.Interface, error) {
	cfg, err := clientcmd.RESTConfigFromKubeConfig(conf)
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.QPS = "https://"+address+":6443", -1
	cfg.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	return kubernetes.NewForConfig(cfg)
}

// nodesReady returns when so many nodes are Ready at the same time, and with
// which kubelets.
func (o *observer) nodesReady(ctx context.Context, client kubernetes.Interface, nodes int) (at time.Time, kubelet string, err error) {
	ready := readiness{}
	err = o.poll(ctx, func(ctx context.Context) bool {
		// A watch that breaks is begun again, with what is true then.
		if o.followNodes(ctx, client, ready, nodes) {
			at = time.Now()
			return true
		}
		return false
	})
	if err != nil {
		return at, "", fmt.Errorf("waiting for %d nodes to be Ready (%d are): %w", nodes, ready.count(), err)
	}
	return at, ready.kubelets(), nil
}

// followNodes lists and watches nodes; false when the watch has ended.
func (o *observer) followNodes(ctx context.Context, client kubernetes.Interface, ready readiness, nodes int) bool {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return false
	}
	clear(ready)
	for _, n := range list.Items {
		ready.take(&n)
	}
	if ready.count() == nodes {
		return true
	}
	w, err := client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return false
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case event := <-w.ResultChan():
			n, ok := event.Object.(*corev1.Node)
			if !ok {
				return false
			}
			ready.take(n)
			if event.Type == watch.Deleted {
				delete(ready, n.Name)
			}
			if ready.count() == nodes {
				return true
			}
		}
	}
}

// readiness is what is known of each node.
type readiness map[string]struct {
	ready   bool
	kubelet string
}

func (r readiness) take(n *corev1.Node) {
	state := r[n.Name]
	state.ready, state.kubelet = false, n.Status.NodeInfo.KubeletVersion
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			state.ready = c.Status == corev1.ConditionTrue
		}
	}
	r[n.Name] = state
}

func (r readiness) count() int {
	n := 0
	for _, state := range r {
		if state.ready {
			n++
		}
	}
	return n
}

// kubelets are the versions of all kubelets, mostly one.
func (r readiness) kubelets() string {
	versions := map[string]bool{}
	for _, state := range r {
		versions[state.kubelet] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(versions)), ",")
}
