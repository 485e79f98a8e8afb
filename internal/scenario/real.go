package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kluster-project/kluster/internal/cluster"
	"github.com/kluster-project/kluster/internal/fault"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// Clusters is what Real needs of cluster.Manager.
type Clusters interface {
	Nodes(ctx context.Context, name string) ([]cluster.NodeInfo, error)
	Kubeconfig(ctx context.Context, name string, internal bool) ([]byte, error)
	Exec(ctx context.Context, name, node string, cmd provider.Command) error
	Fault(ctx context.Context, cluster string, spec fault.Spec) (*fault.Active, error)
	Faults(ctx context.Context, cluster string) ([]fault.Active, error)
	ClearFaults(ctx context.Context, cluster string, ids ...string) ([]fault.Active, error)
}

// Real is a cluster as a scenario sees it.
type Real struct {
	clusters   Clusters
	name       string
	kubeconfig []byte
	client     kubernetes.Interface
	file       func() (string, error)
}

var _ Cluster = (*Real)(nil)

// Open reads a cluster's kubeconfig, while all of it runs. dir is for a copy of it, which
// commands get.
func Open(ctx context.Context, clusters Clusters, name, dir string) (*Real, error) {
	conf, err := clusters.Kubeconfig(ctx, name, false)
	if err != nil {
		return nil, err
	}
	rest, err := clientcmd.RESTConfigFromKubeConfig(conf)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of %s: %w", name, err)
	}
	rest.QPS = -1
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("making a client of %s: %w", name, err)
	}
	r := &Real{clusters: clusters, name: name, kubeconfig: conf, client: client}
	r.file = sync.OnceValues(func() (string, error) {
		file := filepath.Join(dir, "kubeconfig")
		return file, os.WriteFile(file, conf, 0o600)
	})
	return r, nil
}

// Name implements Cluster.
func (r *Real) Name() string { return r.name }

// Machines implements Cluster.
func (r *Real) Machines(ctx context.Context) ([]Machine, error) {
	nodes, err := r.clusters.Nodes(ctx, r.name)
	if err != nil {
		return nil, err
	}
	var all []Machine
	for _, n := range nodes {
		all = append(all, Machine{Name: n.Name, Role: nodespec.Role(n.Role), Running: n.State == string(provider.StateRunning)})
	}
	return all, nil
}

// isLeader asks etcd on a control plane, which says so among its figures.
var isLeader = []string{"curl", "--silent", "--max-time", "3", "http://127.0.0.1:2381/metrics"}

const leads = "\netcd_server_is_leader 1\n"

// Leader implements Cluster.
func (r *Real) Leader(ctx context.Context) (string, error) {
	machines, err := r.Machines(ctx)
	if err != nil {
		return "", err
	}
	var errs []error
	for _, m := range machines {
		if m.Role != nodespec.RoleControlPlane || !m.Running {
			continue
		}
		out, err := r.inNode(ctx, m.Name, isLeader)
		if err == nil && strings.Contains(out, leads) {
			return m.Name, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(append([]error{errors.New("no etcd says that it is the leader")}, errs...)...)
}

func (r *Real) inNode(ctx context.Context, node string, args []string) (string, error) {
	var out bytes.Buffer
	err := r.clusters.Exec(ctx, r.name, node, provider.Command{Args: args, Stdout: &out})
	return out.String(), err
}

// Fault implements Cluster.
func (r *Real) Fault(ctx context.Context, spec fault.Spec) (*fault.Active, error) {
	return r.clusters.Fault(ctx, r.name, spec)
}

// Faults implements Cluster.
func (r *Real) Faults(ctx context.Context) ([]fault.Active, error) {
	return r.clusters.Faults(ctx, r.name)
}

// Clear implements Cluster.
func (r *Real) Clear(ctx context.Context, ids []string) error {
	// What is known is undone, whatever does not answer.
	have, err := r.Faults(ctx)
	errs := []error{err}
	for _, f := range have {
		for _, id := range ids {
			if f.ID != id {
				continue
			}
			if _, err := r.clusters.ClearFaults(ctx, r.name, id); err != nil && !isNotFound(err) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func isNotFound(err error) bool {
	_, is := errors.AsType[*cluster.NotFoundError](err)
	return is
}

// Unready implements Cluster.
func (r *Real) Unready(ctx context.Context) (map[string]string, error) {
	machines, err := r.Machines(ctx)
	if err != nil {
		return nil, err
	}
	list, err := r.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	unready := map[string]string{}
	for _, m := range machines {
		unready[m.Name] = "it is not registered"
	}
	for _, n := range list.Items {
		delete(unready, n.Name)
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				unready[n.Name] = c.Message
			}
		}
	}
	return unready, nil
}

// ownServer is where an API server answers on its own node.
var ownServer = "https://127.0.0.1:" + strconv.Itoa(nodespec.APIServerPort)

// Answers implements Cluster.
func (r *Real) Answers(ctx context.Context, by Machine) error {
	if by.Role == nodespec.RoleLoadBalancer {
		_, err := r.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	}
	if err := hasAPI(by); err != nil {
		return err
	}
	_, err := r.inNode(ctx, by.Name, []string{"curl", "--silent", "--show-error", "--fail", "--insecure", "--max-time", "3", ownServer + "/readyz"})
	return err
}

func hasAPI(m Machine) error {
	if m.Role != nodespec.RoleControlPlane {
		return fmt.Errorf("%s is a %s and has no API", m.Name, m.Role)
	}
	if !m.Running {
		return fmt.Errorf("%s does not run", m.Name)
	}
	return nil
}

// mark is an annotation, of a namespace that every cluster has, which Write changes.
const (
	mark   = "kluster.dev/scenario"
	marked = "default"
)

// Write implements Cluster.
func (r *Real) Write(ctx context.Context, by Machine) error {
	value := strconv.FormatInt(time.Now().UnixNano(), 10)
	if by.Role == nodespec.RoleLoadBalancer {
		return r.annotate(ctx, strconv.Quote(value))
	}
	if err := hasAPI(by); err != nil {
		return err
	}
	_, err := r.inNode(ctx, by.Name, []string{
		"kubectl", "--kubeconfig", nodespec.AdminConf, "--server", ownServer, "--request-timeout=4s",
		"annotate", "--overwrite", "namespace", marked, mark + "=" + value,
	})
	return err
}

func (r *Real) annotate(ctx context.Context, value string) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, mark, value)
	_, err := r.client.CoreV1().Namespaces().Patch(ctx, marked, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// CleanUp implements Cluster.
func (r *Real) CleanUp(ctx context.Context) error {
	if err := r.annotate(ctx, "null"); err != nil {
		return fmt.Errorf("removing the annotation %s of namespace %s: %w", mark, marked, err)
	}
	return nil
}

// PodsReady implements Cluster.
func (r *Real) PodsReady(ctx context.Context, pods Pods) error {
	list, err := r.client.CoreV1().Pods(pods.Namespace).List(ctx, metav1.ListOptions{LabelSelector: pods.Selector})
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	if len(list.Items) == 0 {
		return errors.New("there are no such pods")
	}
	var errs []error
	for _, p := range list.Items {
		if !podReady(&p) {
			errs = append(errs, fmt.Errorf("pod %s on %s is not Ready (%s)", p.Name, p.Spec.NodeName, p.Status.Phase))
		}
	}
	return errors.Join(errs...)
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// mostOutput is how much of what a command prints is kept: its end.
const mostOutput = 2 << 10

// Command implements Cluster.
func (r *Real) Command(ctx context.Context, args []string) (int, string, error) {
	file, err := r.file()
	if err != nil {
		return 0, "", fmt.Errorf("writing a kubeconfig for %s: %w", args[0], err)
	}
	var out tail
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+file, "KLUSTER_CLUSTER="+r.name)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.Exited() {
		return ended.ExitCode(), out.String(), nil
	}
	if err != nil {
		return 0, out.String(), fmt.Errorf("running %s: %w", args[0], err)
	}
	return 0, out.String(), nil
}

// tail keeps the end of what is written to it.
type tail struct{ data []byte }

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	t.data = t.data[max(0, len(t.data)-mostOutput):]
	return len(p), nil
}

func (t *tail) String() string { return string(t.data) }
