package cluster

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/trace"
	"github.com/kluster-project/kluster/internal/wait"
)

// observeEvery is how often an API server is looked at while a create is traced.
const observeEvery = 50 * time.Millisecond

// askTime bounds one such look, so that a server that takes connections and
// does not answer is not taken for one that is slow to.
const askTime = time.Second

// observer looks at a cluster from the host while it is created: when each API
// server answers, and what becomes of nodes and pods.
type observer struct {
	r      *trace.Recorder
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// observe starts the observer of a traced create, which needs addresses and
// certificates. It outlives the step that ctx belongs to; see endTrace.
func (c *creation) observe(ctx context.Context) {
	r := trace.FromContext(ctx)
	if r == nil || c.ca == nil || c.observer != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.observer = &observer{r: r, cancel: cancel}
	clients, err := c.observers()
	if err != nil {
		c.m.reporter.Note("the trace shows nothing of the API: %v", err)
		return
	}
	c.observer.start(ctx, clients)
}

// observers are clients of each API server itself, by node.
func (c *creation) observers() (map[string]*kubernetes.Clientset, error) {
	admin, err := c.ca.SuperAdmin()
	if err != nil {
		return nil, err
	}
	clients := map[string]*kubernetes.Clientset{}
	for _, n := range c.cfg.Nodes {
		if n.Role != nodespec.RoleControlPlane {
			continue
		}
		addr := netip.AddrPortFrom(c.addrs[n.Name][0], nodespec.APIServerPort)
		clients[n.Name], err = kubernetes.NewForConfig(&rest.Config{
			Host: "https://" + addr.String(), QPS: -1,
			TLSClientConfig: rest.TLSClientConfig{CAData: c.ca.CACertificate(), CertData: admin.Certificate, KeyData: admin.Key},
			// The host's proxy is for what lies outside of it.
			Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		})
		if err != nil {
			return nil, fmt.Errorf("making a client of the API server of %s: %w", n.Name, err)
		}
	}
	return clients, nil
}

func (o *observer) start(ctx context.Context, clients map[string]*kubernetes.Clientset) {
	for node, client := range clients {
		o.group.Go(func() { o.apiServer(ctx, node, client) })
	}
	all := slices.Collect(maps.Values(clients))
	o.group.Go(func() { o.watch(ctx, all, watchNodes, (&nodeLanes{r: o.r}).see) })
	o.group.Go(func() { o.watch(ctx, all, watchAccounts, (&accountLanes{r: o.r}).see) })
	o.group.Go(func() { o.watch(ctx, all, watchPods, (&podLanes{r: o.r}).see) })
}

// stop ends the observation and waits for it. It may be called on nil.
func (o *observer) stop() {
	if o == nil {
		return
	}
	o.cancel()
	o.group.Wait()
}

// apiServer follows one API server until it is ready for the first time.
func (o *observer) apiServer(ctx context.Context, node string, client *kubernetes.Clientset) {
	const lane = "kube-apiserver, from the host"
	outside := o.r.NewLane(trace.State, node, lane)
	inside := o.r.NewLane(trace.Detail, node, lane)
	defer func() { outside.End(time.Now()); inside.End(time.Now()) }()
	for {
		code, text := askReady(ctx, client)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return
		case code == http.StatusOK:
			outside.End(now)
			inside.Reach("ready", now)
			return
		case code == 0:
			inside.End(now)
			outside.Set(text, now)
		default:
			outside.End(now)
			inside.Set(text, now)
		}
		if !wait.For(ctx, observeEvery) {
			return
		}
	}
}

// askReady asks for /readyz: the code is 0 when there is no answer, and the
// text says what is not ready.
func askReady(ctx context.Context, client *kubernetes.Clientset) (code int, text string) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	result := client.RESTClient().Get().AbsPath("/readyz").MaxRetries(0).Do(ctx)
	result.StatusCode(&code)
	body, err := result.Raw()
	switch {
	case code == 0 && err != nil:
		return 0, "no answer: " + lastWords(err)
	case code == http.StatusForbidden:
		return code, "answers: roles are not there yet"
	default:
		return code, fmt.Sprintf("answers %d: %s", code, failing(string(body)))
	}
}

// lastWords is the end of an error, where the cause stands.
func lastWords(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}

// failing lists the checks that /readyz says have failed.
func failing(body string) string {
	var checks []string
	for line := range strings.Lines(body) {
		if check, ok := strings.CutPrefix(line, "[-]"); ok {
			name, _, _ := strings.Cut(check, " ")
			checks = append(checks, name)
		}
	}
	return strings.Join(checks, ", ")
}

// watch follows objects over whichever server answers, until ctx ends.
func (o *observer) watch(ctx context.Context, clients []*kubernetes.Clientset,
	start func(context.Context, kubernetes.Interface) (watch.Interface, error), see func(watch.Event, time.Time),
) {
	for i := 0; ctx.Err() == nil; i++ {
		w, err := start(ctx, clients[i%len(clients)])
		if err == nil {
			follow(ctx, w, see)
		}
		wait.For(ctx, observeEvery)
	}
}

func follow(ctx context.Context, w watch.Interface, see func(watch.Event, time.Time)) {
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-w.ResultChan():
			if !open {
				return
			}
			see(e, time.Now())
		}
	}
}
