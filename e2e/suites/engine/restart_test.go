package engine_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// times is how often each restart is done; timesVariable says otherwise.
const times = 10

// timesVariable shortens a look at one of them.
const timesVariable = "KLUSTER_ENGINE_TIMES"

// often is how often each restart is done.
func often() int {
	GinkgoHelper()
	text, ok := os.LookupEnv(timesVariable)
	if !ok {
		return times
	}
	n, err := strconv.Atoi(text)
	Expect(err).NotTo(HaveOccurred(), timesVariable)
	Expect(n).To(BeNumerically(">", 0), timesVariable)
	return n
}

var _ = Describe("A cluster of three control planes", Ordered, ContinueOnFailure, Serial, harness.Long, func() {
	var (
		room *harness.Room
		k    *harness.Kluster
		c    *harness.Cluster
		ns   string
	)

	BeforeAll(func(ctx SpecContext) {
		room = harness.NewRoom(ctx)
		k = kluster(room)
		k.Must(ctx, "build", "node-image")
		k.Must(ctx, "create", "--name", "races", "--nodes", "3")
		var err error
		c, err = room.Connect(k, "races")
		Expect(err).NotTo(HaveOccurred())
		ns = "kept"
		_, err = c.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		c.Deploy(ctx, ns, harness.Deployment("web", 3, harness.Web(c.Image(ctx, "agnhost"))))
	}, NodeTimeout(loadTimeout))

	JustAfterEach(func() { explain(k, room, "races") })

	// places are the fixed addresses and the published ports of its machines.
	places := func(ctx context.Context) map[string]string {
		GinkgoHelper()
		list, err := room.Engine().Containers(ctx, "races")
		Expect(err).NotTo(HaveOccurred())
		out := map[string]string{}
		for _, m := range list {
			out[m.Name] = fmt.Sprint(m.Ports)
			if m.Name != "races-lb" { // its address is not fixed
				out[m.Name] += " " + m.Address
			}
		}
		return out
	}

	// again does something to the cluster many times, which says when its way back began,
	// and measures how long that is. What was written before must be there afterwards.
	again := func(ctx SpecContext, what string, restart func(i int) time.Time) {
		GinkgoHelper()
		k.Must(ctx, "start", "races") // a spec that failed may have left it otherwise
		before := places(ctx)
		Expect(before).To(HaveLen(4))
		var took seconds
		DeferCleanup(func() { report(what, took) })
		for i := range often() {
			mark := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "before-"}}
			mark, err := c.Client.CoreV1().ConfigMaps(ns).Create(ctx, mark, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
			began := restart(i)
			c.AwaitNodes(ctx, room.Engine(), recovery)
			took = append(took, time.Since(began).Seconds())
			_, err = c.Client.CoreV1().ConfigMaps(ns).Get(ctx, mark.Name, metav1.GetOptions{})
			Expect(err).NotTo(HaveOccurred(), "what was written before")
			Expect(places(ctx)).To(Equal(before), "addresses and ports")
		}
		c.AwaitDeployment(ctx, ns, "web")
		Expect(took).To(HaveEach(BeNumerically("<=", soon.Seconds())))
	}

	restartEngine := func(ctx SpecContext, signal string) func(int) time.Time {
		return func(int) time.Time {
			room.EndEngine(ctx, signal)
			began := time.Now()
			room.StartEngine(ctx)
			return began
		}
	}

	It("is back by itself when the engine was ended and started", func(ctx SpecContext) {
		again(ctx, "from the start of the engine, which was ended (SIGTERM), to all nodes Ready", restartEngine(ctx, "TERM"))
	}, NodeTimeout(20*time.Minute))

	It("is back by itself when the engine was killed and started", func(ctx SpecContext) {
		again(ctx, "from the start of the engine, which was killed (SIGKILL), to all nodes Ready", restartEngine(ctx, "KILL"))
	}, NodeTimeout(20*time.Minute))

	// all does something with all machines at once.
	all := func(ctx SpecContext, do func(context.Context, string) error) {
		GinkgoHelper()
		list, err := room.Engine().Containers(ctx, "races")
		Expect(err).NotTo(HaveOccurred())
		group, ctxOfAll := errgroup.WithContext(ctx)
		for _, m := range list {
			group.Go(func() error { return do(ctxOfAll, m.Name) })
		}
		Expect(group.Wait()).To(Succeed())
	}

	It("is back when all of its containers were restarted", func(ctx SpecContext) {
		again(ctx, "from docker restart of all containers, their stop included, to all nodes Ready", func(int) time.Time {
			began := time.Now()
			all(ctx, room.Engine().Restart)
			return began
		})
	}, NodeTimeout(20*time.Minute))

	It("is back when all of its containers were killed and started", func(ctx SpecContext) {
		again(ctx, "from docker start of all containers, which were killed, to all nodes Ready", func(int) time.Time {
			all(ctx, room.Engine().Kill)
			began := time.Now()
			all(ctx, room.Engine().Start)
			return began
		})
	}, NodeTimeout(20*time.Minute))

	It("stays down when it was stopped, however the engine ends", func(ctx SpecContext) {
		k.Must(ctx, "start", "races")
		Expect(room.Engine().Kill(ctx, "races-lb")).To(Succeed()) // is down already, by way of the engine
		k.Must(ctx, "stop", "races")
		for _, signal := range []string{"TERM", "KILL"} {
			restartEngine(ctx, signal)(0)
			list, err := room.Engine().Containers(ctx, "races")
			Expect(err).NotTo(HaveOccurred())
			Expect(list).To(HaveLen(4))
			Expect(list).To(HaveEach(HaveField("Running", false)), signal)
		}
		k.Must(ctx, "start", "races")
	}, NodeTimeout(20*time.Minute))

	It("is back by itself when its host was rebooted", func(ctx SpecContext) {
		again(ctx, "from the start of the engine, after a reboot, to all nodes Ready", func(int) time.Time {
			room.Reboot(ctx)
			began := time.Now()
			room.StartEngine(ctx)
			// No client lives through a reboot either.
			var err error
			c, err = room.Connect(k, "races")
			Expect(err).NotTo(HaveOccurred())
			return began
		})
	}, NodeTimeout(20*time.Minute))

	It("goes on while an engine that keeps containers is restarted", func(ctx SpecContext) {
		Expect(os.WriteFile(room.Path("daemon.json"), []byte(`{"live-restore": true}`), 0o600)).To(Succeed())
		restartEngine(ctx, "TERM")(0) // which the engine reads it at
		c.AwaitNodes(ctx, room.Engine(), recovery)
		starts := func() map[string]time.Time {
			list, err := room.Engine().Containers(ctx, "races")
			Expect(err).NotTo(HaveOccurred())
			out := map[string]time.Time{}
			for _, m := range list {
				out[m.Name] = m.Started
			}
			return out
		}
		before := starts()
		var took seconds
		for range often() {
			began := restartEngine(ctx, "TERM")(0)
			Eventually(ctx, c.NotReady).WithTimeout(recovery).Should(BeEmpty())
			took = append(took, time.Since(began).Seconds())
			Expect(starts()).To(Equal(before), "no container was started")
		}
		report("from the start of an engine with live-restore to the first answer of the API", took)
	}, NodeTimeout(20*time.Minute))
})

var _ = Describe("A create", Serial, harness.Long, func() {
	var (
		room *harness.Room
		k    *harness.Kluster
	)

	BeforeEach(func(ctx SpecContext) {
		room = harness.NewRoom(ctx)
		k = kluster(room)
		k.Must(ctx, "build", "node-image")
	}, NodeTimeout(loadTimeout))

	// works says that a create's word that its cluster is ready is true.
	works := func(ctx SpecContext) {
		GinkgoHelper()
		c, err := room.Connect(k, "races")
		Expect(err).NotTo(HaveOccurred())
		c.AwaitNodes(ctx, room.Engine(), recovery)
		c.Deploy(ctx, "default", harness.Deployment("web", 3, harness.Web(c.Image(ctx, "agnhost"))))
		k.Must(ctx, "delete", "races")
	}

	for _, signal := range []string{"TERM", "KILL"} {
		// Nodes are back when their engine is: a create that had asked the engine for
		// nothing meanwhile rightly goes on. What it says must be true either way.
		It("is whole or leaves nothing when its engine is restarted (SIG"+signal+")", func(ctx SpecContext) {
			p, err := k.Start(ctx, nil, "create", "--name", "races", "--nodes", "3")
			Expect(err).NotTo(HaveOccurred())
			Eventually(ctx, func(ctx context.Context) ([]harness.Container, error) {
				return room.Engine().Containers(ctx, "races")
			}).WithTimeout(recovery).WithPolling(50 * time.Millisecond).Should(ContainElement(HaveField("Running", true)))
			room.EndEngine(ctx, signal)
			room.StartEngine(ctx)
			r := p.Wait()
			AddReportEntry("create ended with", fmt.Sprint(r.Code))
			if r.Code == 0 {
				works(ctx)
			} else {
				Expect(k.Kubeconfig).NotTo(BeAnExistingFile())
			}
			Expect(room.Engine().Leftovers(ctx, "races")).To(BeEmpty(), r.String())
			k.Must(ctx, "create", "--name", "races", "--nodes", "1")
		}, NodeTimeout(loadTimeout))
	}
})
