package nodes_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var _ = Describe("A cluster of one node", Ordered, harness.Short, func() {
	m := &made{}
	BeforeAll(func(ctx SpecContext) { *m = *create(ctx, "--nodes", "1") }, createLimit)

	It("gets a worker, and loses it again", func(ctx SpecContext) {
		e, first := harness.SpecEngine(ctx), m.Name+"-control-plane-1"
		before := m.things(ctx, e, first)
		Expect(m.node(ctx, "add")).To(Equal([]string{m.Name + "-worker-1"}))
		m.usable(ctx, m.Name+"-worker-1")
		m.node(ctx, "remove", "worker-1", "--force") // with the pod that was tried
		Expect(m.things(ctx, e, first)).To(Equal(before))

		r := m.Run(ctx, "node", "remove", "--cluster", m.Name, "control-plane-1", "--force")
		Expect(r.Code).To(Equal(2), r.String())
		Expect(r.Stderr).To(ContainSubstring("no control plane would be left"))
		Expect(m.things(ctx, e, first)).To(Equal(before))
	}, limit)
})

var _ = Describe("A cluster that grows from one node", Ordered, harness.Long, func() {
	m := &made{}
	var w *harness.Counter
	var tokens []string
	BeforeAll(func(ctx SpecContext) {
		*m = *create(ctx, "--nodes", "1", "--runtime", "containerd", "--image", severalRuntimes(ctx))
		tokens = m.tokens(ctx)
		w = m.StartCounter(ctx)
	}, createLimit)

	name := func(role string) string { return m.Name + "-" + role }
	// verify checks the writes since the last mark.
	verify := func(ctx context.Context, about string) {
		GinkgoHelper()
		w.AwaitMore(ctx, 10, time.Minute)
		Expect(w.Verify(ctx, about).Gap).To(BeNumerically("<", gap))
		w.Mark()
	}

	It("gets two workers of another runtime, which run pods", func(ctx SpecContext) {
		w.Mark()
		Expect(m.node(ctx, "add", "--count", "2", "--runtime", "cri-o")).To(Equal([]string{name("worker-1"), name("worker-2")}))
		Expect(m.runtimes(ctx)).To(Equal(map[string]string{name("control-plane-1"): "containerd", name("worker-1"): "cri-o", name("worker-2"): "cri-o"}))
		m.usable(ctx, name("worker-1"), name("worker-2"))
		verify(ctx, "while workers came")
	}, limit)

	It("gets two control planes, one of another runtime, and nobody is cut off", func(ctx SpecContext) {
		e := harness.SpecEngine(ctx)
		Expect(m.node(ctx, "add", "--role", "control-plane", "--runtime", "cri-o")).To(Equal([]string{name("control-plane-2")}))
		Expect(m.node(ctx, "add", "--role", "control-plane")).To(Equal([]string{name("control-plane-3")}))
		Expect(m.runtimes(ctx)).To(And(HaveKeyWithValue(name("control-plane-2"), "cri-o"), HaveKeyWithValue(name("control-plane-3"), "containerd")))
		m.voters(ctx, 3)
		m.told(ctx, e)
		m.usable(ctx, name("control-plane-2"), name("control-plane-3"))
		verify(ctx, "while control planes came")
	}, limit)

	It("keeps no token and no access that they joined with", func(ctx SpecContext) {
		Expect(m.tokens(ctx)).To(Equal(tokens), "those of the create, which end by themselves")
		for _, n := range []string{"control-plane-2", "control-plane-3"} {
			Expect(m.Exec(ctx, n, "sh", "-c", "ls /etc/kluster/join*").Stdout).To(Equal("/etc/kluster/joined\n"))
		}
	}, limit)

	It("survives a restart of all of its machines", func(ctx SpecContext) {
		e := harness.SpecEngine(ctx)
		containers, err := e.Containers(ctx, m.Name)
		Expect(err).NotTo(HaveOccurred())
		for _, c := range containers {
			Expect(e.Kill(ctx, c.Name)).To(Succeed())
		}
		for _, c := range containers {
			Expect(e.Start(ctx, c.Name)).To(Succeed())
		}
		m.AwaitNodes(ctx, e, 3*time.Minute)
		m.voters(ctx, 3)
		m.told(ctx, e)
		m.usable(ctx, name("worker-1"), name("control-plane-2"))
		w.AwaitMore(ctx, 10, time.Minute)
		w.Verify(ctx, "around a restart of all")
	}, limit)

	It("refuses what would break etcd's quorum, and says the arithmetic", func(ctx SpecContext) {
		e := harness.SpecEngine(ctx)
		Expect(e.Kill(ctx, name("control-plane-3"))).To(Succeed())
		r := m.Run(ctx, "node", "remove", "--cluster", m.Name, "control-plane-2")
		Expect(r.Code).To(Equal(4), r.String())
		Expect(r.Stderr).To(ContainSubstring("etcd would have 2 voting members, of which 1 answer and 2 are needed"))
		Expect(e.Start(ctx, name("control-plane-3"))).To(Succeed())
		m.AwaitNodes(ctx, e, 3*time.Minute)
		m.voters(ctx, 3)
		w.AwaitMore(ctx, 10, time.Minute)
		w.Verify(ctx, "with one of three down")
	}, limit)

	It("loses its first control plane while a client writes; the others stay Ready", func(ctx SpecContext) {
		e := harness.SpecEngine(ctx)
		w.Mark()
		m.node(ctx, "remove", "control-plane-1")
		Expect(m.NotReady(ctx)).To(BeEmpty())
		verify(ctx, "while a control plane went")
		m.voters(ctx, 2)
		m.told(ctx, e)
		Expect(e.Leftovers(ctx, m.Name)).NotTo(ContainElement(ContainSubstring("control-plane-1")))
		m.usable(ctx, name("worker-2"))
	}, limit)

	It("has nothing of an add that is interrupted", func(ctx SpecContext) {
		e, via := harness.SpecEngine(ctx), name("control-plane-2")
		before := m.things(ctx, e, via)
		for _, step := range []string{"control plane", "readiness", "record"} {
			k := *m.Kluster
			k.Env = []string{"KLUSTER_TEST_INTERRUPT_AT=" + step}
			r := k.Run(ctx, "node", "add", "--cluster", m.Name, "--role", "control-plane")
			Expect(r.Code).To(Equal(130), r.String())
			Expect(m.things(ctx, e, via)).To(Equal(before), "interrupted at %s", step)
		}
		m.told(ctx, e)
		w.AwaitMore(ctx, 10, time.Minute)
		w.Verify(ctx, "while adds were interrupted")
	}, limit)

	It("has nothing of an add that was killed, once there is another one", func(ctx SpecContext) {
		e, via := harness.SpecEngine(ctx), name("control-plane-2")
		before := m.things(ctx, e, via)
		k := *m.Kluster
		k.Env = []string{"KLUSTER_TEST_KILL_AT=readiness"} // its member of etcd votes by then
		Expect(k.Run(ctx, "node", "add", "--cluster", m.Name, "--role", "control-plane").Code).To(Equal(-1))
		Expect(m.things(ctx, e, via)).NotTo(Equal(before))
		m.node(ctx, "add")
		m.node(ctx, "remove", "worker-3")
		Expect(m.things(ctx, e, via)).To(Equal(before))
	}, limit)

	It("gets rid of a worker that is dead, with its pods", func(ctx SpecContext) {
		e := harness.SpecEngine(ctx)
		ns := m.Namespace(ctx)
		m.RunPod(ctx, ns, harness.Pod("there", name("worker-2"), harness.Idle(m.busybox)))
		Expect(e.Kill(ctx, name("worker-2"))).To(Succeed())
		m.node(ctx, "remove", "worker-2")
		Expect(m.runtimes(ctx)).NotTo(HaveKey(name("worker-2")))
		Expect(m.Pods(ctx, ns, "there")).To(BeEmpty())
		Expect(e.Leftovers(ctx, m.Name)).NotTo(ContainElement(ContainSubstring("worker-2")))
	}, limit)
})
