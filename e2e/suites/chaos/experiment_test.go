package chaos_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/e2e/chaos"
	"github.com/kluster-project/kluster/e2e/history"
	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
	"github.com/kluster-project/kluster/internal/shell"
)

// experiment is a row that runs.
type experiment struct {
	*harness.Traffic
	row     row
	engine  *harness.Engine
	etcd    *etcdWatch
	watched *nodeWatch
	pods    *podWatch
	outside *outside
	// cluster is asked by a client that gives up soon.
	cluster *harness.Cluster
	ns      string // of pods that shall go on
	// started is the "kluster node start" that ends the fault, if one does.
	started *harness.Process
	targets []string
	// Moments of the fault, by the clock of the traffic: when it was asked for, held, and was
	// undone on the first machine and on the last; when all worked again; and the end of the traffic.
	begun, holds, undone, last, whole, ended time.Duration
}

// run is the procedure of every row: a whole cluster, clients in peace, the fault, its
// undo, a whole cluster, clients in peace, and then what came of it.
func (r row) run(ctx SpecContext) {
	r.claim(ctx)
	x := r.prepare(ctx)
	before, had := podsOf(ctx, c), belongings(ctx, x.engine)
	stop := x.start(ctx)
	peace(ctx)

	x.begun = x.Now()
	began := time.Now()
	x.begin(ctx)
	x.holds = x.Now()
	looked := x.lookAround(ctx)
	x.await(ctx)
	result := chaos.Row{Name: r.name, Runtime: runtime, Fault: r.fault.String(), Targets: x.targets, At: began.UTC().Round(time.Second)}
	x.awaitWhole(ctx, &result)
	peace(ctx)
	x.ended = x.Now()
	stop()

	looked.Wait()
	result.Restarted = restartedPods(before, podsOf(ctx, c), x.spared)
	result.Outside = x.outside.last(ctx)
	result.Left = beyond(had, belongings(ctx, x.engine))
	result.Said = x.complaint(ctx)
	verdict := x.measure(ctx, &result)
	result = result.Judge(r.within...)
	publish(ctx, x.engine, result)
	x.judge(ctx, verdict, result)
}

// lookAround looks at what is outside the cluster while the fault holds.
func (x *experiment) lookAround(ctx context.Context) *sync.WaitGroup {
	looked := &sync.WaitGroup{}
	looked.Go(func() { x.outside.check(ctx) })
	return looked
}

// await passes the time of the fault, and ends it if kluster does not by itself.
func (x *experiment) await(ctx context.Context) {
	GinkgoHelper()
	switch {
	case x.row.lasts == 0:
		x.undone, x.last = x.begun, x.begun
	case x.row.starts:
		pass(ctx, x.row.lasts)
		x.undone = x.Now()
		x.last = x.undone
		started, err := c.Start(ctx, nil, append([]string{"node", "start", "--cluster", c.Name}, x.targets...)...)
		Expect(err).NotTo(HaveOccurred())
		x.started = started
	default:
		pass(ctx, x.last-x.Now())
	}
}

// spared says whether a pod has nothing to do with the fault. Those of earlier rows may be on
// their way out.
func (x *experiment) spared(p pod) bool {
	ns, _, _ := strings.Cut(p.name, "/")
	return x.row.spares(x.targets, p) && (ns == x.ns || !strings.HasPrefix(ns, "it-"))
}

// prepare sees that the cluster is whole, and runs what is to run on, and what is to watch.
func (r row) prepare(ctx SpecContext) *experiment {
	GinkgoHelper()
	x := &experiment{row: r, engine: harness.SpecEngine(ctx)}
	client, err := x.engine.EtcdClient(ctx, controlPlane(1))
	Expect(err).NotTo(HaveOccurred())
	x.etcd = &etcdWatch{client: client, addresses: x.addresses(ctx), leaders: map[uint64]map[string]bool{}}
	x.watched = &nodeWatch{first: map[string]time.Time{}}
	for _, way := range x.ways() {
		cfg := rest.CopyConfig(way.Config)
		cfg.Timeout = time.Second
		api, err := kubernetes.NewForConfig(cfg)
		Expect(err).NotTo(HaveOccurred())
		x.watched.apis = append(x.watched.apis, api)
	}
	quick := *c
	x.cluster, quick.Client = &quick, x.watched.apis[0]
	Eventually(ctx, x.unfit).WithArguments(time.Time{}, []string(nil)).WithTimeout(recovery).Should(BeEmpty(), "a whole cluster")
	x.targets = r.on(ctx, x)
	x.ns = c.Namespace(ctx)
	x.pods = watchPods(workload(ctx, x.ns, frontPort(slices.Index(names(), r.name))))
	x.outside = lookOutside(ctx, x.engine)
	return x
}

// addresses are those of the control planes.
func (x *experiment) addresses(ctx context.Context) map[string]string {
	GinkgoHelper()
	found := map[string]string{}
	for _, name := range controlPlanes() {
		machine, err := x.engine.Inspect(ctx, name)
		Expect(err).NotTo(HaveOccurred())
		found[name] = machine.Address
	}
	return found
}

// ways has as many clients at the load balancer as there are control planes, so that it
// sends some to each, and one at each control plane itself.
func (x *experiment) ways() []harness.Way {
	var ways []harness.Way
	for range nodes {
		ways = append(ways, harness.Way{Name: chaos.LoadBalancer, Config: c.Config})
	}
	for _, name := range controlPlanes() {
		ways = append(ways, c.Direct(name, x.etcd.addresses[name]))
	}
	return ways
}

// start starts clients and watches; all of them end with what it returns.
func (x *experiment) start(ctx context.Context) (stop func()) {
	GinkgoHelper()
	traffic, end := c.StartTraffic(ctx, x.ways())
	x.Traffic = traffic
	x.pods.now, x.outside.now = x.Now, x.Now
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	all.Go(func() { x.etcd.run(watching) })
	all.Go(func() { x.watched.run(watching) })
	all.Go(func() { x.pods.run(watching) })
	all.Go(func() { x.outside.run(watching) })
	stop = sync.OnceFunc(func() { end(); cancel(); all.Wait() })
	DeferCleanup(stop)
	return stop
}

// peace lets clients go on.
func peace(ctx context.Context) {
	GinkgoHelper()
	pass(ctx, steady())
}

func pass(ctx context.Context, d time.Duration) {
	GinkgoHelper()
	select {
	case <-ctx.Done():
		Fail(context.Cause(ctx).Error())
	case <-time.After(d):
	}
}

// unfit says what the cluster lacks: nodes that have not said that they are Ready, those that
// were touched since a time, and members of etcd.
func (x *experiment) unfit(ctx context.Context, since time.Time, touched []string) ([]string, error) {
	missing, err := x.cluster.NotReady(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range touched {
		lease, err := x.cluster.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if !renewed(lease, since) {
			missing = append(missing, name+" has not been heard of since")
		}
	}
	if why := x.etcd.unfit(ctx); why != "" {
		missing = append(missing, why)
	}
	return missing, nil
}

func renewed(lease *coordinationv1.Lease, since time.Time) bool {
	return lease.Spec.RenewTime != nil && lease.Spec.RenewTime.After(since)
}

// awaitWhole waits until everything works again, and notes when what did.
func (x *experiment) awaitWhole(ctx context.Context, result *chaos.Row) {
	GinkgoHelper()
	since := time.Now().Add(x.last - x.Now())
	touched := slices.DeleteFunc(slices.Clone(x.targets), func(name string) bool { return name == loadBalancer() })
	Eventually(ctx, x.unfit).WithArguments(since, touched).WithTimeout(recovery).Should(BeEmpty(), "a whole cluster")
	ready := x.Now()
	Eventually(ctx, x.silent).WithTimeout(recovery).Should(BeEmpty(), "ways that lead to acknowledged writes")
	if x.row.lasts > 0 {
		result.Lasted = chaos.In(x.undone - x.begun)
	}
	x.whole = x.Now()
	result.Ready, result.Whole = chaos.In(ready-x.last), chaos.In(x.whole-x.last)
	if x.started != nil {
		r := x.started.Wait()
		Expect(r.Code).To(BeZero(), r.String())
		took := chaos.In(r.Took)
		result.Started = &took
	}
}

// silent are the ways that have led to no acknowledged write since the undo.
func (x *experiment) silent(ctx context.Context) (none []string) {
	ops := x.Ops()
	for _, name := range everyone(ctx, x) {
		if _, ok := history.FirstWrite(history.Via(ops, name), max(x.last, x.holds)); !ok {
			none = append(none, name)
		}
	}
	return none
}

// complaint is what a target's etcd wrote of its trouble.
func (x *experiment) complaint(ctx context.Context) string {
	GinkgoHelper()
	if x.row.complains == "" {
		return ""
	}
	r, err := x.engine.Exec(ctx, x.targets[0], "sh", "-c", "grep -h "+shell.Quote(x.row.complains)+" /var/log/pods/kube-system_etcd-*/etcd/*.log | tail -n 1")
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(r.Stdout)
}

// measure reads the history.
func (x *experiment) measure(ctx context.Context, result *chaos.Row) history.Verdict {
	ops, all := x.Ops(), history.Window{To: x.ended}
	for _, name := range everyone(ctx, x) {
		way := history.Via(ops, name)
		t, hit := history.Count(way, all), history.Count(way, history.Window{From: x.begun, To: x.ended})
		result.Ways = append(result.Ways, chaos.Way{
			Name: name, Ops: t.Ops, Writes: t.Writes, Conflicts: t.Conflicts, Failed: t.Failed, Unknown: t.Unknown, Gap: chaos.In(hit.Gap),
		})
		result.Before = max(result.Before, chaos.In(history.Count(way, history.Window{To: x.begun}).Gap))
	}
	if at, ok := history.FirstFailure(history.Via(ops, chaos.LoadBalancer), x.begun); ok {
		result.Detected = since(at, x.begun)
	}
	if at, ok := history.FirstWrite(ops, x.undone); ok {
		result.Written = chaos.In(at - x.undone)
	}
	x.measureNodes(result)
	result.Pods = x.pods.spared(x.sparedNodes(), x.begun, x.holds, x.undone, x.whole)
	_, pause := x.outside.beats.Between(x.begun, x.ended)
	result.Neighbour = chaos.In(pause)
	if x.row.refuses != nil {
		for _, name := range x.row.refuses(ctx, x) {
			result.CutOff += history.Count(history.Via(ops, name), history.Window{From: x.holds, To: x.undone}).Writes
		}
	}
	terms, most := x.etcd.terms()
	result.LeaderChanges, result.MostLeaders = max(terms-1, 0), most
	verdict := history.Check(ops, checkLimit)
	result.Wrong = verdict.Wrong
	return verdict
}

// checkLimit bounds the check of a history, which takes about a second.
const checkLimit = 2 * time.Minute

func (x *experiment) measureNodes(result *chaos.Row) {
	result.NodesNotReady = []string{}
	for name, at := range x.watched.first {
		result.NodesNotReady = append(result.NodesNotReady, name)
		if s := since(x.At(at), x.begun); result.NotReady == nil || *s < *result.NotReady {
			result.NotReady = s
		}
	}
	slices.Sort(result.NodesNotReady)
}

// sparedNodes are those whose pods have nothing to do with the fault.
func (x *experiment) sparedNodes() []string {
	return slices.DeleteFunc(controlPlanes(), func(name string) bool { return !x.row.spares(x.targets, pod{node: name}) })
}

func since(at, begun time.Duration) *chaos.Seconds {
	s := chaos.In(at - begun)
	return &s
}

// judge fails the spec for what is wrong. What took too long is in the report, and fails it if
// that is asked for.
func (x *experiment) judge(ctx context.Context, verdict history.Verdict, result chaos.Row) {
	GinkgoHelper()
	fmt.Fprintln(GinkgoWriter, chaos.Report{Rows: []chaos.Row{result}}.Markdown())
	if !verdict.Right {
		fmt.Fprintln(GinkgoWriter, "history:", x.keep(verdict))
	}
	Expect(verdict.Undecided).To(BeFalse(), "the history was checked within %s", checkLimit)
	Expect(verdict.Right).To(BeTrue(), "the history is not that of registers: %q", verdict.Wrong)
	Expect(result.MostLeaders).To(BeNumerically("<=", 1), "leaders of a term of etcd")
	Expect(result.CutOff).To(BeZero(), "writes acknowledged without a quorum")
	Expect(broken(result, strict)).To(BeEmpty(), "what may not be")
}

// broken says which budgets are unmet, with the names of what broke them: those that are no
// times, or if strict all of them. Pods go on while others are hit, or do not: that is no
// matter of time.
func broken(result chaos.Row, strict bool) []string {
	var all []string
	for _, b := range result.Budgets {
		if b.Met {
			continue
		}
		switch b.Meter {
		case chaos.Leaks:
			all = append(all, fmt.Sprintf("left behind: %q", result.Left))
		case chaos.Restarts:
			all = append(all, fmt.Sprintf("other pods that restarted: %q", result.Restarted))
		case chaos.NotReady:
			all = append(all, fmt.Sprintf("nodes that went NotReady: %q", result.NodesNotReady))
		case chaos.Silent:
			all = append(all, fmt.Sprintf("nobody is told of %q in %q", result.Fault, result.Targets))
		case chaos.Outside:
			all = append(all, fmt.Sprintf("changed outside the cluster: %q", result.Outside))
		case chaos.Paused:
			what := fmt.Sprintf("pods that did not go on: %+v", result.Pods)
			if b.Blind {
				what = "no pod was asked whether it goes on"
			}
			all = append(all, what)
		case chaos.Lost, chaos.Leaders, chaos.Refused: // judged by themselves
		default:
			if strict {
				all = append(all, fmt.Sprintf("%s, it was %s", b.Must(), b.Measured()))
			}
		}
	}
	return all
}

// keep writes a history that is wrong, as it is and as a page, and returns where.
func (x *experiment) keep(verdict history.Verdict) string {
	GinkgoHelper()
	dir, err := harness.EvidenceDir("history " + x.row.name)
	Expect(err).NotTo(HaveOccurred())
	page, err := os.Create(filepath.Join(dir, "history.html"))
	Expect(err).NotTo(HaveOccurred())
	defer page.Close()
	Expect(verdict.Visualize(page)).To(Succeed())
	Expect(history.Write(filepath.Join(dir, "history.json"), x.Ops())).To(Succeed())
	return dir
}
