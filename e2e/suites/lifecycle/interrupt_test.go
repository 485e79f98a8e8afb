package lifecycle_test

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// steps are the steps of a create, as the kluster under test lists them.
func steps() ([]string, error) {
	bin, err := harness.Binary()
	if err != nil {
		return nil, err
	}
	// It runs while the tree of specs is made, which has no context.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, bin, "create", "--list-steps").Output()
	return strings.Split(strings.TrimSpace(string(out)), "\n"), err
}

// lengthOf has a step in the middle and the last one walked in short runs too.
func lengthOf(i int, all []string) Labels {
	if i == len(all)/2 || i == len(all)-1 {
		return harness.Short
	}
	return harness.Long
}

// interrupted is the exit code after Ctrl-C.
const interrupted = 130

var _ = Describe("An interrupted create", func() {
	all, err := steps()
	It("has a list of steps", harness.Short, func() {
		Expect(err).NotTo(HaveOccurred())
		Expect(len(all)).To(BeNumerically(">", 3))
	})
	for i, step := range all {
		It(fmt.Sprintf("leaves nothing behind at step %q", step), lengthOf(i, all), func(ctx SpecContext) {
			name := harness.Name("int")
			k := alone(name)
			DeferCleanup(k.Delete, name)
			k.Env = append(k.Env, "KLUSTER_TEST_INTERRUPT_AT="+step)
			r := k.Run(ctx, "create", "--name", name, "--nodes", "3")
			Expect(r.Code).To(Equal(interrupted), r.String())
			Expect(r.Stderr).To(ContainSubstring("interrupted"))
			expectNoTrace(ctx, k, name)
		})
	}

	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		It(fmt.Sprintf("leaves nothing behind when nodes are running (%s)", s), harness.Long, func(ctx SpecContext) {
			k := harness.New()
			name := named(k, "int")
			p, err := k.Start(ctx, nil, "create", "--name", name, "--nodes", "2")
			Expect(err).NotTo(HaveOccurred())
			awaitMachines(ctx, name, 2)
			Expect(p.Signal(s)).To(Succeed())
			r := p.Wait()
			Expect(r.Code).To(Equal(interrupted), r.String())
			expectNothingLeft(ctx, k, name)
		})
	}

	It("keeps what it made when asked to", harness.Long, func(ctx SpecContext) {
		Expect(all).NotTo(BeEmpty())
		k := harness.New()
		k.Env = []string{"KLUSTER_TEST_INTERRUPT_AT=" + all[len(all)-1]}
		name := named(k, "retain")
		r := k.Run(ctx, "create", "--name", name, "--nodes", "1", "--retain")
		Expect(r.Code).To(Equal(interrupted), r.String())
		Expect(r.Stderr).To(ContainSubstring("kluster delete " + name))
		Expect(engine(ctx).Leftovers(ctx, name)).NotTo(BeEmpty())
		k.Must(ctx, "delete", name)
		expectNothingLeft(ctx, k, name)
	})
})

var _ = Describe("A create that is killed", func() {
	// kill starts a create and kills it with SIGKILL when nodes are running.
	kill := func(ctx SpecContext, k *harness.Kluster, name string) {
		GinkgoHelper()
		p, err := k.Start(ctx, nil, "create", "--name", name, "--nodes", "1")
		Expect(err).NotTo(HaveOccurred())
		awaitMachines(ctx, name, 1)
		Expect(p.Signal(syscall.SIGKILL)).To(Succeed())
		Expect(p.Wait().Code).To(Equal(-1))
		Expect(engine(ctx).Leftovers(ctx, name)).NotTo(BeEmpty())
	}

	all, err := steps()
	for i, step := range all {
		It(fmt.Sprintf("at step %q leaves nothing that the next command does not remove", step), lengthOf(i, all), func(ctx SpecContext) {
			Expect(err).NotTo(HaveOccurred())
			name := harness.Name("kill")
			k := alone(name)
			DeferCleanup(k.Delete, name)
			doomed := *k
			doomed.Env = append(slices.Clone(k.Env), "KLUSTER_TEST_KILL_AT="+step)
			Expect(doomed.Run(ctx, "create", "--name", name, "--nodes", "3").Code).To(Equal(-1))
			k.Must(ctx, "delete", name)
			expectNoTrace(ctx, k, name)
		})
	}

	It("leaves registries that clusters share", harness.Long, func(ctx SpecContext) {
		k := harness.New()
		shared := k.LocalRegistry(ctx)
		name := named(k, "kill")
		doomed := *k
		doomed.Env = []string{"KLUSTER_TEST_KILL_AT=readiness"}
		Expect(doomed.Run(ctx, "create", "--name", name, "--nodes", "1", "--registry").Code).To(Equal(-1))
		k.Must(ctx, "delete", name)
		expectNothingLeft(ctx, k, name)
		Expect(k.Registries(ctx)).To(ContainElement(And(HaveField("Name", shared.Name), HaveField("State", "running"), HaveField("Clusters", Not(ContainElement(name))))))
	})

	It("is cleaned up by delete", harness.Short, func(ctx SpecContext) {
		k := harness.New()
		name := named(k, "kill")
		kill(ctx, k, name)
		k.Must(ctx, "delete", name)
		expectNothingLeft(ctx, k, name)
	})

	It("does not stand in the way of the next create of that name", harness.Short, func(ctx SpecContext) {
		k := harness.New()
		name := named(k, "kill")
		kill(ctx, k, name)
		c := k.Create(ctx, name, "--nodes", "1")
		Expect(c.NotReady(ctx)).To(BeEmpty())
	})
})
