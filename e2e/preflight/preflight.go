// Package preflight looks at a cluster before a run, in seconds: most runs that
// are lost are lost to what could have been known at the start. It changes
// nothing in the cluster.
package preflight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/e2e/plan"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// patience bounds each question, to the API or to a node.
const patience = 10 * time.Second

// NodeExec runs a command in a node and waits for it.
type NodeExec func(ctx context.Context, node string, argv []string, stdout io.Writer) error

// Target is what a run needs.
type Target struct {
	// Name is the cluster's, for the report.
	Name   string
	Config *rest.Config
	Suite  plan.Suite
	// Version is that of the suite's programs ("v1.36.3"); "" is not compared.
	Version string
	// Images are the references that must be on every node.
	Images []string
	// Folders are those of a node whose disk must have room.
	Folders []string
	// ReportDir is where the report is to be written; it is made. "" is not looked at.
	ReportDir string
	// Exec reaches into nodes; nil where nobody can, such as for clusters that
	// kluster did not make.
	Exec NodeExec
}

// Level is how bad a problem is.
type Level string

// The levels: with an Error the run would fail or not start, with a Warning some
// specs may.
const (
	Error   Level = "error"
	Warning Level = "warning"
)

// Problem is what is wrong, why, and what to do about it.
type Problem struct {
	Level Level
	What  string
	// Cause may be "" where What says all.
	Cause string
	Next  string
}

func (p Problem) String() string {
	if p.Cause == "" {
		return p.What
	}
	return p.What + ": " + p.Cause
}

// Err is nil unless a problem is an Error: those as one, with the next steps as
// its hints.
func Err(problems []Problem) error {
	var texts []string
	var hints []failure.Option
	for _, p := range problems {
		if p.Level == Error {
			texts = append(texts, p.String())
			hints = append(hints, failure.Hint("%s", p.Next))
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return failure.New(strings.Join(texts, "; "), append(hints, failure.Exit(failure.CodeHost))...)
}

// Check looks at a cluster and gives what the report says of it, and all problems,
// errors first. The error is that of ctx, or of a Config no client can be made of.
func Check(ctx context.Context, t Target) (report.Cluster, []Problem, error) {
	cfg := rest.CopyConfig(t.Config)
	cfg.QPS = -1
	cfg.Timeout = patience
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return report.Cluster{}, nil, fmt.Errorf("making a client of the API: %w", err)
	}
	return (&examination{Target: t, client: client}).run(ctx)
}

// examination is a Check that runs.
type examination struct {
	Target
	client kubernetes.Interface

	server string // the API server's version
	nodes  []corev1.Node
	unfit  bool // there is an error already: nothing is waited for
}

func (e *examination) run(ctx context.Context) (report.Cluster, []Problem, error) {
	problems := e.folder()
	unreachable := e.reach(ctx)
	problems = append(problems, unreachable...)
	if len(unreachable) == 0 {
		problems = append(problems, e.all(ctx)...)
	}
	if err := context.Cause(ctx); err != nil {
		return report.Cluster{}, nil, err
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return strings.Compare(string(a.Level), string(b.Level)) })
	return e.cluster(), problems, nil
}

// reach asks for what every other check needs.
func (e *examination) reach(ctx context.Context) []Problem {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %s", patience))
	defer cancel()
	if err := e.askVersion(ctx); err != nil {
		return []Problem{unreachable(ctx, err)}
	}
	nodes, err := e.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return []Problem{unreachable(ctx, err)}
	}
	e.nodes = nodes.Items
	return nil
}

func (e *examination) askVersion(ctx context.Context) (err error) {
	e.server, err = askVersion(ctx, e.client.Discovery().RESTClient(), e.Config.Host)
	return err
}

// Version asks an API server for its own.
func Version(ctx context.Context, config *rest.Config) (string, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return "", fmt.Errorf("making a client of the API: %w", err)
	}
	return askVersion(ctx, client.RESTClient(), config.Host)
}

// askVersion is ServerVersion of package discovery, which takes no context.
func askVersion(ctx context.Context, client rest.Interface, host string) (string, error) {
	data, err := client.Get().AbsPath("/version").Do(ctx).Raw()
	if err != nil {
		return "", err
	}
	var info version.Info
	if err := json.Unmarshal(data, &info); err != nil || info.GitVersion == "" {
		return "", fmt.Errorf("%s/version is not that of an API server: %.80q", host, data)
	}
	return info.GitVersion, nil
}

// checks are those of a cluster whose API answers, in the order they are told; that of
// the system's pods, which may have to wait, comes after them.
var checks = []func(e *examination, ctx context.Context) []Problem{
	(*examination).version,
	(*examination).rights,
	(*examination).ready,
	(*examination).room,
	(*examination).blocked,
	(*examination).kubelets,
	(*examination).inNodes,
	(*examination).listedImages,
	(*examination).leftovers,
}

// all makes the checks, but for the last at once.
func (e *examination) all(ctx context.Context) []Problem {
	found := make([][]Problem, len(checks))
	var group sync.WaitGroup
	for i, check := range checks {
		group.Go(func() { found[i] = check(e, ctx) })
	}
	group.Wait()
	problems := slices.Concat(found...)
	e.unfit = Err(problems) != nil
	return append(problems, e.systemPods(ctx)...)
}

// upstream says whether the specs are Kubernetes' own, whose start waits for half
// an hour for nodes and pods that will not come.
func (e *examination) upstream() bool { return e.Suite.Program != plan.Package }

// cluster is what the report says of it.
func (e *examination) cluster() report.Cluster {
	c := report.Cluster{Name: e.Name, Kubernetes: e.server}
	for _, n := range e.nodes {
		info := n.Status.NodeInfo
		c.Nodes = append(c.Nodes, report.Node{
			Name: n.Name, Role: role(n), Runtime: info.ContainerRuntimeVersion,
			Kubelet: info.KubeletVersion, Kernel: info.KernelVersion, OS: info.OSImage,
		})
	}
	return c
}

func role(n corev1.Node) string {
	if _, ok := n.Labels["node-role.kubernetes.io/control-plane"]; ok {
		return "control-plane"
	}
	return "worker"
}

// notKnown is a check that could not be made.
func notKnown(what string, err error) []Problem {
	if errors.Is(err, context.Canceled) {
		return nil // the whole examination ended
	}
	return []Problem{{Warning, what + " could not be looked at", oneLine(err), "run again; if it stays so, the API server or the nodes are too busy for a run"}}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
