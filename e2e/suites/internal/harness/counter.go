package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	counterName = "counter"
	counterKey  = "n"
	// countEvery is how often a Counter writes, and countTimeout bounds each request.
	countEvery   = 100 * time.Millisecond
	countTimeout = 2 * time.Second
)

// Counter is a client that adds one to a number, an object of the API, ten times a
// second through the load balancer: it reads, and writes on the condition that nobody
// has in the meantime. The number must never be less than the last one acknowledged.
type Counter struct {
	ns     string
	client kubernetes.Interface
	reader kubernetes.Interface // has more time for a request

	mu sync.Mutex
	// total counts all writes, and now those since the last mark.
	total, now Writes
	last       int       // the number of the last acknowledged write
	at         time.Time // of the last acknowledgement, or of the last mark
	lost       []error
	errs       map[string]int
}

// Writes are what became of the writes of a Counter.
type Writes struct {
	// Unanswered ones may have been stored or not.
	Acknowledged, Unanswered int
	// Gap is the longest time without an acknowledgement.
	Gap time.Duration
}

func (w Writes) String() string {
	return fmt.Sprintf("%d acknowledged, %d unanswered, longest time without an acknowledgement %s",
		w.Acknowledged, w.Unanswered, w.Gap.Round(10*time.Millisecond))
}

// StartCounter starts a Counter, in a namespace of its own, that ends with the spec (or
// the Ordered container whose BeforeAll calls this). It returns when writes succeed.
func (c *Cluster) StartCounter(ctx context.Context) *Counter {
	ginkgo.GinkgoHelper()
	cfg := rest.CopyConfig(c.Config)
	cfg.Timeout = countTimeout
	client, err := kubernetes.NewForConfig(cfg)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	w := &Counter{ns: c.Namespace(ctx), client: client, reader: c.Client}
	gomega.Expect(w.create(ctx)).To(gomega.Succeed())
	counting, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { defer close(done); w.run(counting) }()
	ginkgo.DeferCleanup(func() { stop(); <-done })
	w.AwaitMore(ctx, 10, time.Minute)
	w.Mark()
	return w
}

func (w *Counter) create(ctx context.Context) error {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: counterName}, Data: map[string]string{counterKey: "0"}}
	_, err := w.reader.CoreV1().ConfigMaps(w.ns).Create(ctx, cm, metav1.CreateOptions{})
	w.Mark()
	return err
}

func (w *Counter) run(ctx context.Context) {
	tick := time.NewTicker(countEvery)
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

// count adds one. An answer that does not come leaves it open whether it was stored.
func (w *Counter) count(ctx context.Context) {
	stored := w.client.CoreV1().ConfigMaps(w.ns)
	cm, err := stored.Get(ctx, counterName, metav1.GetOptions{})
	if err != nil {
		w.failed(err, 0)
		return
	}
	n, err := numberOf(cm)
	if err != nil {
		w.failed(err, 0)
		return
	}
	w.holds(n, w.lastNumber())
	cm.Data[counterKey] = strconv.Itoa(n + 1)
	_, err = stored.Update(ctx, cm, metav1.UpdateOptions{})
	switch {
	case err == nil:
		w.acknowledged(n + 1)
	case apierrors.IsConflict(err): // an earlier one was stored since the read
		w.failed(err, 0)
	default:
		w.failed(err, 1)
	}
}

// numberOf is the number that is stored.
func numberOf(cm *corev1.ConfigMap) (int, error) {
	n, err := strconv.Atoi(cm.Data[counterKey])
	if err != nil {
		return 0, fmt.Errorf("reading the number that is stored: %w", err)
	}
	return n, nil
}

// holds remembers a number that was read and is less than one acknowledged before.
func (w *Counter) holds(n, acknowledged int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n < acknowledged {
		w.lost = append(w.lost, fmt.Errorf("%d was acknowledged, and %d is stored", acknowledged, n))
	}
}

func (w *Counter) acknowledged(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total.Acknowledged++
	w.now.Acknowledged++
	w.last = n
	w.now.Gap = max(w.now.Gap, time.Since(w.at))
	w.at = time.Now()
}

func (w *Counter) failed(err error, unanswered int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total.Unanswered += unanswered
	w.now.Unanswered += unanswered
	w.errs[err.Error()]++
}

func (w *Counter) lastNumber() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// Mark begins a new measurement.
func (w *Counter) Mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.at, w.errs = Writes{}, time.Now(), map[string]int{}
}

// Acknowledged is how many writes have been acknowledged since the start.
func (w *Counter) Acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total.Acknowledged
}

// AwaitMore waits for n more acknowledged writes.
func (w *Counter) AwaitMore(ctx context.Context, n int, within time.Duration) {
	ginkgo.GinkgoHelper()
	want := w.Acknowledged() + n
	gomega.Eventually(ctx, w.Acknowledged).WithTimeout(within).
		Should(gomega.BeNumerically(">=", want), func() string { return fmt.Sprint("errors: ", w.complaints()) })
}

// Verify checks that no acknowledged write is lost, and reports and returns what became
// of those since the last mark.
func (w *Counter) Verify(ctx context.Context, about string) Writes {
	ginkgo.GinkgoHelper()
	writes, err := w.verify(ctx)
	ginkgo.AddReportEntry("writes "+about, writes)
	ginkgo.GinkgoWriter.Printf("writes %s: %s; errors: %v\n", about, writes, w.complaints())
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return writes
}

// verify reads the number while the next write may be under way.
func (w *Counter) verify(ctx context.Context) (Writes, error) {
	acknowledged := w.lastNumber()
	cm, err := w.reader.CoreV1().ConfigMaps(w.ns).Get(ctx, counterName, metav1.GetOptions{})
	n := 0
	if err == nil {
		n, err = numberOf(cm)
	}
	if err == nil {
		w.holds(n, acknowledged)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	writes := w.now
	writes.Gap = max(writes.Gap, time.Since(w.at)) // the one that has not ended yet
	if most := w.total.Acknowledged + w.total.Unanswered + 1; n > most {
		err = errors.Join(err, fmt.Errorf("%d is stored, and at most %d was written", n, most))
	}
	return writes, errors.Join(err, errors.Join(w.lost...))
}

// complaints are the errors since the last mark, each with how often it came.
func (w *Counter) complaints() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.errs)
}
