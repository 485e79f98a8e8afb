package ha_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// writer writes through the load balancer ten times a second, each write an
// object of its own, and remembers which the API has acknowledged.
type writer struct {
	ns     string
	client kubernetes.Interface
	stop   context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	acked []write
	errs  map[string]int
}

// write is an acknowledged write: its number, etcd's revision of it, and when
// the acknowledgement came.
type write struct {
	n        int
	revision uint64
	at       time.Time
}

// startWriter starts a writer that ends with the spec at the latest.
func startWriter(ctx SpecContext) *writer {
	GinkgoHelper()
	cfg := rest.CopyConfig(c.Config)
	cfg.Timeout = 2 * time.Second // of each request
	client, err := kubernetes.NewForConfig(cfg)
	Expect(err).NotTo(HaveOccurred())
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &writer{ns: c.Namespace(ctx), client: client, stop: stop, done: make(chan struct{}), errs: map[string]int{}}
	go w.run(writing)
	DeferCleanup(w.end)
	w.awaitMore(ctx, 10, time.Minute)
	return w
}

func (w *writer) run(ctx context.Context) {
	defer close(w.done)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.write(ctx, n)
		}
	}
}

// write creates an object named after n, once: an answer that does not come
// leaves it open whether the object exists.
func (w *writer) write(ctx context.Context, n int) {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("w-%06d", n)}}
	made, err := w.client.CoreV1().ConfigMaps(w.ns).Create(ctx, cm, metav1.CreateOptions{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.errs[err.Error()]++
		return
	}
	revision, err := strconv.ParseUint(made.ResourceVersion, 10, 64)
	if err != nil {
		w.errs[err.Error()]++
		return
	}
	w.acked = append(w.acked, write{n, revision, time.Now()})
}

// history is what has been acknowledged so far.
func (w *writer) history() []write {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.acked)
}

// awaitMore waits for n more acknowledged writes.
func (w *writer) awaitMore(ctx context.Context, n int, within time.Duration) {
	GinkgoHelper()
	want := len(w.history()) + n
	Eventually(ctx, func() int { return len(w.history()) }).WithTimeout(within).Should(BeNumerically(">=", want), w.complaints)
}

func (w *writer) complaints() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for text, times := range w.errs {
		fmt.Fprintf(&b, "%d × %s\n", times, text)
	}
	return b.String()
}

// end stops the writer and waits for it.
func (w *writer) end() {
	w.stop()
	<-w.done
}

// gap is the longest time without an acknowledgement.
func (w *writer) gap() time.Duration {
	var longest time.Duration
	acked := w.history()
	for i := 1; i < len(acked); i++ {
		longest = max(longest, acked[i].at.Sub(acked[i-1].at))
	}
	return longest
}

// verify stops the writer and checks that every acknowledged write is there, at
// the revision it was acknowledged with, in the order of writing.
func (w *writer) verify(ctx context.Context) {
	GinkgoHelper()
	w.end()
	list, err := c.Client.CoreV1().ConfigMaps(w.ns).List(ctx, metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	stored := map[string]string{}
	for _, cm := range list.Items {
		stored[cm.Name] = cm.ResourceVersion
	}
	var lost []string
	var last uint64
	acked := w.history()
	for _, a := range acked {
		name := fmt.Sprintf("w-%06d", a.n)
		if stored[name] != strconv.FormatUint(a.revision, 10) {
			lost = append(lost, fmt.Sprintf("%s: acknowledged at %d, stored at %q", name, a.revision, stored[name]))
		}
		Expect(a.revision).To(BeNumerically(">", last), "%s is out of order", name)
		last = a.revision
	}
	Expect(lost).To(BeEmpty(), "lost writes")
	fmt.Fprintf(GinkgoWriter, "%d acknowledged writes, all stored; errors:\n%s", len(acked), w.complaints())
}

// verifyNoOutage is verify, and that writes were never refused for long.
func (w *writer) verifyNoOutage(ctx context.Context) {
	GinkgoHelper()
	w.verify(ctx)
	report("longest time without an acknowledged write", w.gap())
	Expect(w.gap()).To(BeNumerically("<", outage))
}
