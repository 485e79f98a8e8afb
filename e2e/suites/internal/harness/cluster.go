package harness

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// CreateTimeout bounds a create, an image build not included.
const CreateTimeout = 10 * time.Minute

// requestTimeout bounds a request to the API, so that one to an apiserver that
// has just died ends while the spec still waits.
const requestTimeout = 15 * time.Second

// Cluster is a cluster that kluster made, as its user sees it.
type Cluster struct {
	*Kluster
	Name   string
	Config *rest.Config
	Client kubernetes.Interface
	// Summary is what create printed.
	Summary Summary
}

// Summary is the JSON of `kluster create -o json`.
type Summary struct {
	Name, KubernetesVersion, Server, Context, Kubeconfig string
	Nodes                                                []Machine
	Seconds                                              float64
	Notes                                                []string
}

// Machine is a node, or the load balancer, in kluster's JSON.
type Machine struct {
	Cluster, Name, Role, State, Image string
	Addresses                         []string
}

// Connect reads the cluster's context from the kubeconfig file.
func Connect(k *Kluster, name string) (*Cluster, error) { return connect(k, name, nil) }

// connect is Connect with another way to dial, if there is one.
func connect(k *Kluster, name string, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*Cluster, error) {
	cfg, err := RESTConfig(k.Kubeconfig, "kluster-"+name)
	if err != nil {
		return nil, err
	}
	cfg.Dial = dial
	bounded := rest.CopyConfig(cfg)
	bounded.Timeout = requestTimeout
	cs, err := kubernetes.NewForConfig(bounded)
	if err != nil {
		return nil, err
	}
	return &Cluster{Kluster: k, Name: remember(name), Config: cfg, Client: cs}, nil
}

// RESTConfig is one context of a kubeconfig file, without client-side limits.
func RESTConfig(file, kubeContext string) (*rest.Config, error) {
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: file},
		&clientcmd.ConfigOverrides{CurrentContext: kubeContext},
	).ClientConfig()
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1
	return cfg, nil
}

// Create makes a cluster with `kluster create --name NAME -o json ARGS` and
// fails the spec if that fails. The caller deletes it.
func (k *Kluster) Create(ctx context.Context, name string, args ...string) *Cluster {
	ginkgo.GinkgoHelper()
	r := k.Must(ctx, append([]string{"create", "--name", name, "-o", "json"}, args...)...)
	ginkgo.AddReportEntry("kluster create "+strings.Join(args, " "), r.Took.Round(100*time.Millisecond).String())
	c, err := Connect(k, name)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	r.Decode(&c.Summary)
	return c
}

// Delete removes the cluster unless KLUSTER_KEEP=1.
func (c *Cluster) Delete(ctx context.Context) {
	ginkgo.GinkgoHelper()
	c.Kluster.Delete(ctx, c.Name)
}

// Delete removes a cluster by name, whatever there is of it, unless
// KLUSTER_KEEP=1.
func (k *Kluster) Delete(ctx context.Context, name string) {
	ginkgo.GinkgoHelper()
	if os.Getenv("KLUSTER_KEEP") == "1" {
		ginkgo.GinkgoWriter.Printf("kept: %s (KUBECONFIG=%s)\n", name, k.Kubeconfig)
		return
	}
	k.Must(ctx, "delete", name)
}

// Shared declares the cluster of a suite: made before its first spec by the
// first parallel process, deleted after the last spec, and with evidence
// gathered when a spec fails. Call it once, at package level; the value is
// filled in when the specs run.
func Shared(kind string, createArgs ...string) *Cluster {
	type address struct {
		Bin, Kubeconfig, Name string
		Summary               Summary
	}
	var made address
	shared := &Cluster{}
	ginkgo.SynchronizedBeforeSuite(func(ctx ginkgo.SpecContext) []byte {
		k := SuiteKluster()
		made = address{Bin: k.Bin, Kubeconfig: k.Kubeconfig, Name: Name(kind)}
		made.Summary = k.Create(ctx, made.Name, createArgs...).Summary
		b, err := json.Marshal(made)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		return b
	}, func(_ ginkgo.SpecContext, b []byte) {
		var a address
		gomega.Expect(json.Unmarshal(b, &a)).To(gomega.Succeed())
		c, err := Connect(&Kluster{Bin: a.Bin, Kubeconfig: a.Kubeconfig}, a.Name)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		*shared = *c
		shared.Summary = a.Summary
	}, ginkgo.NodeTimeout(CreateTimeout))
	ginkgo.SynchronizedAfterSuite(func() {}, func(ctx ginkgo.SpecContext) {
		if made.Name != "" {
			(&Kluster{Bin: made.Bin, Kubeconfig: made.Kubeconfig}).Delete(ctx, made.Name)
		}
	}, ginkgo.NodeTimeout(2*time.Minute))
	GatherOnFailure()
	return shared
}

// SuiteKluster is New with a kubeconfig that lives as long as the suite: for a
// suite that makes its cluster itself.
func SuiteKluster() *Kluster {
	ginkgo.GinkgoHelper()
	bin, err := Binary()
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	dir, err := os.MkdirTemp("", "kluster-it-")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	if os.Getenv("KLUSTER_KEEP") != "1" {
		ginkgo.DeferCleanup(os.RemoveAll, dir)
	}
	return &Kluster{Bin: bin, Kubeconfig: dir + "/kubeconfig"}
}

// Nodes are the cluster's Kubernetes nodes.
func (c *Cluster) Nodes(ctx context.Context) []corev1.Node {
	ginkgo.GinkgoHelper()
	list, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return list.Items
}

// Exec runs a command in a node through `kluster exec`.
func (c *Cluster) Exec(ctx context.Context, node string, cmd ...string) Result {
	return c.Run(ctx, append([]string{"exec", "--cluster", c.Name, node, "--"}, cmd...)...)
}

// MustExec is Exec for commands that have to succeed; it returns stdout.
func (c *Cluster) MustExec(ctx context.Context, node string, cmd ...string) string {
	ginkgo.GinkgoHelper()
	r := c.Exec(ctx, node, cmd...)
	gomega.Expect(r.Code).To(gomega.Equal(0), r.String())
	return r.Stdout
}

// InternalIP is a node's own address, of its primary family.
func InternalIP(n corev1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return ""
}
