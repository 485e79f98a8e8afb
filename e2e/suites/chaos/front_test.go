package chaos_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kluster-project/kluster/e2e/chaos"
	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// frontPort is where the pods of the nodes' own network answer. Each row has another one: pods
// of the row before may still be on their way out.
func frontPort(row int) int { return 18080 + row }

// workload is two pods on every node: a web server on the network of pods, and one on the
// node's own that asks the first for its name when it is asked itself. So one question from
// the host, past the API and every other node, tells that both go on, and the way from one to
// the other.
func workload(ctx context.Context, ns string, port int) map[string]string {
	GinkgoHelper()
	image := c.Image(ctx, "agnhost")
	backs := c.DeployEverywhere(ctx, ns, harness.DaemonSet("back", harness.Web(image)))
	web := harness.Web(image)
	web.Args = []string{"netexec", fmt.Sprintf("--http-port=%d", port), "--udp-port=-1"}
	// /healthz would want the port of UDP.
	web.ReadinessProbe.HTTPGet = &corev1.HTTPGetAction{Path: "/hostname", Port: intstr.FromInt(port)}
	front := harness.DaemonSet("front", web)
	front.Spec.Template.Spec.HostNetwork = true
	fronts := c.DeployEverywhere(ctx, ns, front)
	asks := map[string]string{}
	for node, back := range backs {
		asks[node] = question(fronts[node], port, back)
	}
	return asks
}

// question is the URL that has one pod ask another for its name.
func question(front corev1.Pod, port int, back corev1.Pod) string {
	ask := url.Values{
		"host": {back.Status.PodIP}, "port": {fmt.Sprint(harness.WebPort)},
		"protocol": {"http"}, "request": {"hostname"}, "tries": {"1"},
	}
	return "http://" + net.JoinHostPort(front.Status.HostIP, fmt.Sprint(port)) + "/dial?" + ask.Encode()
}

// podWatch asks the pods of each node ten times a second.
type podWatch struct {
	asks  map[string]string // of nodes
	beats map[string]*chaos.Beats
	now   func() time.Duration
}

func watchPods(asks map[string]string) *podWatch {
	w := &podWatch{asks: asks, beats: map[string]*chaos.Beats{}}
	for node := range asks {
		w.beats[node] = &chaos.Beats{}
	}
	return w
}

const (
	askEvery = 100 * time.Millisecond
	askLimit = time.Second
)

func (w *podWatch) run(ctx context.Context) {
	var all sync.WaitGroup
	for node, ask := range w.asks {
		all.Go(func() {
			repeatEvery(ctx, askEvery, func(ctx context.Context) {
				ctx, cancel := context.WithTimeout(ctx, askLimit)
				defer cancel()
				if text, err := harness.Get(ctx, ask); err == nil && answered(text) {
					w.beats[node].Add(w.now())
				}
			})
		})
	}
	all.Wait()
}

// answered says whether a pod has given the name of the one that it asked.
func answered(text string) bool { return strings.Contains(text, `"responses":["back-`) }

// spared are the pods of some nodes between the fault and the time when all works again. Their
// answers count while the fault holds, where it does for a time.
func (w *podWatch) spared(nodes []string, begun, holds, undone, whole time.Duration) []chaos.Pod {
	out := []chaos.Pod{}
	for _, node := range slices.Sorted(slices.Values(nodes)) {
		_, pause := w.beats[node].Between(begun, whole)
		if undone <= holds {
			holds, undone = begun, whole
		}
		answers, _ := w.beats[node].Between(holds, undone)
		out = append(out, chaos.Pod{Node: node, Answers: answers, Pause: chaos.In(pause)})
	}
	return out
}
