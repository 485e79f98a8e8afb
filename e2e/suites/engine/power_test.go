package engine_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// powerCuts is how often the power fails.
const powerCuts = 3

var _ = Describe("A cluster whose host loses its power", Serial, harness.Long, func() {
	It("is back by itself with all that it has acknowledged", func(ctx SpecContext) {
		room := harness.NewSmallRoom(ctx, 16<<30)
		k := kluster(room)
		k.Must(ctx, "build", "node-image")
		k.Must(ctx, "create", "--name", "races", "--nodes", "3")
		DeferCleanup(func() { explain(k, room, "races") })
		room.Sync() // a host that has run for half a minute

		var took seconds
		for range powerCuts {
			c, err := room.Connect(k, "races")
			Expect(err).NotTo(HaveOccurred())
			var names []string
			for range 20 {
				made, err := c.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx, &corev1.ConfigMap{
					ObjectMeta: metav1.ObjectMeta{GenerateName: "before-"},
				}, metav1.CreateOptions{})
				Expect(err).NotTo(HaveOccurred())
				names = append(names, made.Name)
			}
			room.PowerCut(ctx)
			began := time.Now()
			room.StartEngine(ctx)
			c, err = room.Connect(k, "races") // no client lives through it
			Expect(err).NotTo(HaveOccurred())
			c.AwaitNodes(ctx, room.Engine(), recovery)
			took = append(took, time.Since(began).Seconds())
			for _, name := range names {
				_, err := c.Client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
				Expect(err).NotTo(HaveOccurred(), "what was acknowledged before")
			}
		}
		report("from the start of the engine, after a power cut, to all nodes Ready", took)
		Expect(took).To(HaveEach(BeNumerically("<=", soon.Seconds())))
	}, NodeTimeout(20*time.Minute))
})
