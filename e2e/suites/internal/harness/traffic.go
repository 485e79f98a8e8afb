package harness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/e2e/history"
)

// dialTimeout bounds the making of a connection.
const dialTimeout = time.Second

// Way is a way to a cluster's API that a client of a Traffic goes.
type Way struct {
	Name   string
	Config *rest.Config
	// Reconnects has a client that was not answered make a new connection, as each call
	// of kubectl does. A client behind a load balancer shall not: it is the load
	// balancer's to cut a connection that leads nowhere.
	Reconnects bool
}

// Direct is the way to the API server of a control plane, past everything else.
func (c *Cluster) Direct(name, address string) Way {
	cfg := rest.CopyConfig(c.Config)
	cfg.Host = "https://" + net.JoinHostPort(address, "6443")
	return Way{Name: name, Config: cfg, Reconnects: true}
}

// Traffic is some clients, each on its way, that read and write the same objects of the
// API ten times a second each, and record what came of it. Where a Counter has one
// client whose number may not fall, these tell what each was answered when, so that
// what one reads can be held against what another wrote.
type Traffic struct {
	*history.Recorder
	clients []*trafficClient
}

// StartTraffic starts one client for each way, in a namespace of their own. They end with
// the spec, or with Stop.
func (c *Cluster) StartTraffic(ctx context.Context, ways []Way) (t *Traffic, stop func()) {
	ginkgo.GinkgoHelper()
	ns := c.Namespace(ctx)
	t = &Traffic{Recorder: history.NewRecorder()}
	keys := make([]string, len(ways))
	for i := range ways {
		keys[i] = fmt.Sprintf("register-%d", i)
		gomega.Expect(createRegister(ctx, c.Client, ns, keys[i])).To(gomega.Succeed())
	}
	for i, way := range ways {
		client, reconnect, err := way.connect()
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		t.clients = append(t.clients, &trafficClient{
			Recorder: t.Recorder, number: i, via: way.Name, ns: ns, keys: keys, client: client, reconnect: reconnect,
			known: map[string]*corev1.ConfigMap{},
		})
	}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	for _, client := range t.clients {
		all.Go(func() { client.run(running) })
	}
	stop = sync.OnceFunc(func() { end(); all.Wait() })
	ginkgo.DeferCleanup(stop)
	return t, stop
}

func createRegister(ctx context.Context, client kubernetes.Interface, ns, key string) error {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: key}, Data: map[string]string{counterKey: history.Initial}}
	_, err := client.CoreV1().ConfigMaps(ns).Create(ctx, cm, metav1.CreateOptions{})
	return err
}

// connect makes a client with a connection of its own, that asks each thing once.
func (w Way) connect() (kubernetes.Interface, func(), error) {
	cfg := rest.CopyConfig(w.Config)
	cfg.Timeout = countTimeout
	cfg.QPS = -1
	// With a dialler of its own it shares no connection with other clients.
	cfg.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return once{rt} })
	transport, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, nil, err
	}
	client, err := kubernetes.NewForConfigAndClient(cfg, transport)
	reconnect := func() {}
	if w.Reconnects {
		reconnect = func() { utilnet.CloseIdleConnectionsFor(transport.Transport) }
	}
	return client, reconnect, err
}

// once keeps client-go from asking again when a server says when to: a write that was
// done the first time would be refused the second.
type once struct{ http.RoundTripper }

func (o once) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := o.RoundTripper.RoundTrip(r)
	if response != nil {
		response.Header.Del("Retry-After")
	}
	return response, err
}

// WrappedRoundTripper lets idle connections be closed.
func (o once) WrappedRoundTripper() http.RoundTripper { return o.RoundTripper }

// trafficClient is one client.
type trafficClient struct {
	*history.Recorder
	number    int
	via, ns   string
	keys      []string
	client    kubernetes.Interface
	reconnect func()

	turn  int
	known map[string]*corev1.ConfigMap // what it knows of each key
}

func (c *trafficClient) run(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.step(ctx)
		}
	}
}

// step reads a key, or writes the one that it read before. Clients take their turns at
// each key.
func (c *trafficClient) step(ctx context.Context) {
	key := c.keys[(c.number+c.turn/2)%len(c.keys)]
	op := history.Op{Client: c.number, Via: c.via, Key: key, Call: c.Now()}
	do := c.read
	if c.turn%2 == 1 && c.known[key] != nil {
		do = c.write
	}
	c.turn++
	err := do(ctx, &op)
	if op.Outcome = outcome(err, op.Write); err != nil {
		op.Error = err.Error()
	}
	c.Add(op)
	if op.Outcome == history.Conflict {
		c.stepAside()
	}
	if op.Outcome == history.Failed || op.Outcome == history.Unknown {
		c.reconnect()
	}
}

// stepAside leaves a client that was a moment too late somewhere else in the round of keys. Two that
// go round as fast as each other, as all do on a slow network, would else meet at every key, and
// one of them would be too late each time.
func (c *trafficClient) stepAside() {
	if n := len(c.keys); n > 1 {
		c.turn += 2 * (1 + rand.N(n-1))
	}
}

// read asks a quorum, as a read without a resourceVersion does.
func (c *trafficClient) read(ctx context.Context, op *history.Op) error {
	cm, err := c.client.CoreV1().ConfigMaps(c.ns).Get(ctx, op.Key, metav1.GetOptions{})
	if err != nil {
		return err
	}
	op.Value = cm.Data[counterKey]
	c.known[op.Key] = cm
	return nil
}

// write stores a value that nobody else writes in place of the one that it knows.
func (c *trafficClient) write(ctx context.Context, op *history.Op) error {
	cm := c.known[op.Key].DeepCopy()
	op.Write, op.From, op.Value = true, cm.Data[counterKey], fmt.Sprintf("%d.%d", c.number, c.turn)
	cm.Data[counterKey] = op.Value
	stored, err := c.client.CoreV1().ConfigMaps(c.ns).Update(ctx, cm, metav1.UpdateOptions{})
	if err == nil {
		c.known[op.Key] = stored
	}
	return err
}

// outcome is what a client knows when it gets an error: a read gave nothing, and a
// write is open unless it was refused or never sent.
func outcome(err error, write bool) history.Outcome {
	dial := new(net.OpError)
	switch {
	case err == nil:
		return history.Done
	case apierrors.IsConflict(err):
		return history.Conflict
	case !write, errors.As(err, &dial) && dial.Op == "dial", apierrors.IsTooManyRequests(err):
		return history.Failed
	}
	return history.Unknown
}
