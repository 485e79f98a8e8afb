package lifecycle_test

import (
	"context"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

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

var _ = Describe("Three clusters at once", harness.Long, func() {
	It("are made together, live side by side and go one by one", func(ctx SpecContext) {
		k, e := harness.New(), engine(ctx)
		var names []string
		var creates, deletes [][]string
		for range 3 {
			name := named(k, "three")
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
			Expect(err).NotTo(HaveOccurred(), "one kubeconfig file holds all three")
			Expect(c.NotReady(ctx)).To(BeEmpty())
			Expect(c.Nodes(ctx)).To(HaveLen(1))
			node, err := e.Inspect(ctx, name+"-control-plane-1")
			Expect(err).NotTo(HaveOccurred())
			hosts[c.Config.Host], addrs[node.Address] = true, true
		}
		Expect(hosts).To(HaveLen(3), "API ports")
		Expect(addrs).To(HaveLen(3), "addresses")
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
