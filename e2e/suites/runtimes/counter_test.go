package runtimes_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// counter adds one to a number in a ConfigMap ten times a second, through the load
// balancer: it reads, and writes on the condition that nobody has in the meantime.
type counter struct {
	ns     string
	client kubernetes.Interface
	stop   context.CancelFunc
	done   chan struct{}

	mu sync.Mutex
	// acked are the writes that were acknowledged, and last the number of the last
	// one; open are those without an answer, which may count or not.
	acked, open, last int
	lost              []string
	at                time.Time // of the last acknowledgement
	gap               time.Duration
	errs              map[string]int
}

// startCounter starts one that ends with the specs of its container at the latest.
func (m *made) startCounter(ctx SpecContext) *counter {
	GinkgoHelper()
	cfg := rest.CopyConfig(m.Config)
	cfg.Timeout = 2 * time.Second // of each request
	client, err := kubernetes.NewForConfig(cfg)
	Expect(err).NotTo(HaveOccurred())
	counting, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &counter{ns: m.ns, client: client, stop: stop, done: make(chan struct{}), at: time.Now(), errs: map[string]int{}}
	_, err = client.CoreV1().ConfigMaps(w.ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "counter"}, Data: map[string]string{"n": "0"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	go w.run(counting)
	DeferCleanup(func() { w.stop(); <-w.done })
	return w
}

func (w *counter) run(ctx context.Context) {
	defer close(w.done)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.count(ctx)
		}
	}
}

func (w *counter) count(ctx context.Context) {
	maps := w.client.CoreV1().ConfigMaps(w.ns)
	cm, err := maps.Get(ctx, "counter", metav1.GetOptions{})
	if err != nil {
		w.failed(err, 0)
		return
	}
	n := w.read(cm)
	cm.Data["n"] = strconv.Itoa(n + 1)
	if _, err := maps.Update(ctx, cm, metav1.UpdateOptions{}); err != nil {
		w.failed(err, 1)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked, w.last = w.acked+1, n+1
	w.gap = max(w.gap, time.Since(w.at))
	w.at = time.Now()
}

// read is the number that is stored, which must hold every acknowledged write.
func (w *counter) read(cm *corev1.ConfigMap) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := strconv.Atoi(cm.Data["n"])
	if err != nil || n < w.last {
		w.lost = append(w.lost, fmt.Sprintf("%d was acknowledged, %q is stored", w.last, cm.Data["n"]))
	}
	return n
}

func (w *counter) failed(err error, open int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open += open
	w.errs[err.Error()]++
}

// mark begins a new measurement of the longest gap.
func (w *counter) mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gap, w.at = 0, time.Now()
}

// verify checks that no acknowledged write is lost and that none took long, and reports
// the longest time without one since the last mark.
func (w *counter) verify(ctx context.Context, to string) {
	GinkgoHelper()
	cm, err := w.client.CoreV1().ConfigMaps(w.ns).Get(ctx, "counter", metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	n := w.read(cm)
	w.mu.Lock()
	defer w.mu.Unlock()
	AddReportEntry("longest time without an acknowledged write, to "+to, w.gap.Round(10*time.Millisecond).String())
	fmt.Fprintf(GinkgoWriter, "to %s: %d acknowledged, %d without an answer, %d stored, longest gap %s; errors: %v\n", to, w.acked, w.open, n, w.gap, w.errs)
	Expect(w.lost).To(BeEmpty(), "lost writes")
	// The one under way may be stored already, or have been since.
	Expect(n).To(And(BeNumerically(">=", w.acked-1), BeNumerically("<=", w.acked+w.open+1)))
	Expect(w.acked).To(BeNumerically(">", 20), "%v", w.errs)
	Expect(w.gap).To(BeNumerically("<", swapGap))
}
