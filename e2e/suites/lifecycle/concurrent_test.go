package lifecycle_test

import (
	"context"
	"os"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// together runs kluster with each of the argument lists at the same time.
func together(ctx context.Context, k *harness.Kluster, lists ...[]string) []harness.Result {
	results := make([]harness.Result, len(lists))
	var wg sync.WaitGroup
	for i, args := range lists {
		wg.Go(func() { results[i] = k.Run(ctx, args...) })
	}
	wg.Wait()
	return results
}

// whole reads a kubeconfig again and again until stop, and wants it to be one each time.
func whole(file string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(ended)
		reads := 0
		for tick := time.NewTicker(time.Millisecond); ; reads++ {
			select {
			case <-done:
				tick.Stop()
				AddReportEntry("the kubeconfig was read", reads)
				return
			case <-tick.C:
			}
			_, err := clientcmd.LoadFromFile(file)
			Expect(err).To(Or(Not(HaveOccurred()), MatchError(os.ErrNotExist)))
		}
	}()
	return func() { close(done); <-ended }
}

var _ = Describe("Four clusters at once", harness.Long, func() {
	It("are made together, live side by side and go one by one", func(ctx SpecContext) {
		k, e := harness.New(), engine(ctx)
		DeferCleanup(whole(k.Kubeconfig))
		var names []string
		var creates, deletes [][]string
		for range 4 {
			name := named(k, "four")
			names = append(names, name)
			creates = append(creates, []string{"create", "--name", name, "--nodes", "1"})
			deletes = append(deletes, []string{"delete", name})
		}
		for _, r := range together(ctx, k, creates...) {
			Expect(r.Code).To(Equal(0), r.String())
		}
		hosts, addrs := map[string]bool{}, map[string]bool{}
		for _, name := range names {
			c, err := harness.Connect(k, name)
			Expect(err).NotTo(HaveOccurred(), "one kubeconfig file holds all")
			Expect(c.NotReady(ctx)).To(BeEmpty())
			Expect(c.Nodes(ctx)).To(HaveLen(1))
			node, err := e.Inspect(ctx, name+"-control-plane-1")
			Expect(err).NotTo(HaveOccurred())
			hosts[c.Config.Host], addrs[node.Address] = true, true
		}
		Expect(hosts).To(HaveLen(4), "API ports")
		Expect(addrs).To(HaveLen(4), "addresses")
		Expect(k.Must(ctx, "get", "clusters", "-o", "name").Lines()).To(ContainElements(names))

		k.Must(ctx, "delete", names[0])
		expectNothingLeft(ctx, k, names[0])
		for _, name := range names[1:] {
			c, err := harness.Connect(k, name)
			Expect(err).NotTo(HaveOccurred())
			Expect(c.NotReady(ctx)).To(BeEmpty(), "the others are untouched")
		}
		for _, r := range together(ctx, k, deletes[1:]...) {
			Expect(r.Code).To(Equal(0), r.String())
		}
		for _, name := range names {
			expectNothingLeft(ctx, k, name)
		}
	})
})

var _ = Describe("Two creates of one name at once", harness.Short, func() {
	It("make one cluster, and the loser touches nothing of it", func(ctx SpecContext) {
		k := harness.New()
		name := named(k, "race")
		create := []string{"create", "--name", name, "--nodes", "1"}
		results := together(ctx, k, create, create)
		Expect([]int{results[0].Code, results[1].Code}).To(ConsistOf(0, 1), "%s\n%s", results[0], results[1])
		loser := results[0]
		if loser.Code == 0 {
			loser = results[1]
		}
		Expect(loser.Stderr).To(ContainSubstring(name))
		c, err := harness.Connect(k, name)
		Expect(err).NotTo(HaveOccurred())
		Expect(c.NotReady(ctx)).To(BeEmpty())
		c.MustExec(ctx, name+"-control-plane-1", "true")

		third := k.Run(ctx, create...)
		Expect(third.Code).To(Equal(1), third.String())
		Expect(third.Stderr).To(And(ContainSubstring(name), ContainSubstring("kluster delete")))
		Expect(c.NotReady(ctx)).To(BeEmpty())
	})
})

var _ = Describe("A delete while something else is done with the cluster", func() {
	It("ends a create of it, which removes the rest and says why", harness.Short, func(ctx SpecContext) {
		k := harness.New()
		name := named(k, "race")
		p, err := k.Start(ctx, nil, "create", "--name", name, "--nodes", "1")
		Expect(err).NotTo(HaveOccurred())
		awaitMachines(ctx, name, 2) // the load balancer too
		k.Must(ctx, "delete", name)
		r := p.Wait()
		Expect(r.Code).To(Equal(1), r.String())
		Expect(r.Stderr).To(ContainSubstring("was deleted while it was being created"))
		Expect(r.Took).To(BeNumerically("<", time.Minute))
		expectNothingLeft(ctx, k, name)
	})

	It("is one delete, and leaves a create that begins meanwhile alone", harness.Long, func(ctx SpecContext) {
		k := harness.New()
		name := named(k, "race")
		k.Create(ctx, name, "--nodes", "1")
		remove := []string{"delete", name}
		results := together(ctx, k, remove, remove, []string{"create", "--name", name, "--nodes", "1"})
		Expect(results[:2]).To(HaveEach(HaveField("Code", 0)))
		if results[2].Code != 0 { // it came before the first had gone
			Expect(results[2].Stderr).To(ContainSubstring(name))
			expectNothingLeft(ctx, k, name)
			return
		}
		c, err := harness.Connect(k, name)
		Expect(err).NotTo(HaveOccurred())
		Expect(c.NotReady(ctx)).To(BeEmpty())
	})

	It("wins over a start of it, or comes after", harness.Long, func(ctx SpecContext) {
		k := harness.New()
		name := named(k, "race")
		k.Create(ctx, name, "--nodes", "1")
		k.Must(ctx, "stop", name)
		results := together(ctx, k, []string{"delete", name}, []string{"start", name})
		Expect(results[0].Code).To(Equal(0), results[0].String())
		Expect(results[1].Took).To(BeNumerically("<", time.Minute), results[1].String())
		expectNothingLeft(ctx, k, name)
	})
})
