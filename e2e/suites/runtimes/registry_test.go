package runtimes_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// Registries outlive clusters: a second one has what the first has pulled, on every
// runtime, when upstream has gone.
var _ = Describe("Shared registries", harness.Long, func() {
	It("serve every runtime, and a second cluster without the upstream", createLimit, func(ctx SpecContext) {
		k, e := harness.New(), harness.SpecEngine(ctx)
		local := k.LocalRegistry(ctx)
		name := harness.Name("upstream")
		upstream := name + ".example"
		u := e.StartUpstream(ctx, name, local.Image)
		pushed := local.Address + "/" + name + "/app:v1"
		e.PushProgram(ctx, pushed, "from the host")
		e.PushProgram(ctx, u.Address+"/team/app:v1", "from far away")
		DeferCleanup(func(ctx SpecContext) { k.Must(ctx, "registry", "delete", upstream, "--force") })
		file := fmt.Sprintf("%sregistries:\n  local: {hostPort: %s}\n  caches: [{registry: %s, url: '%s'}]\n",
			mixed, strings.TrimPrefix(local.Address, "localhost:"), upstream, u.URL)

		config := harness.Config(file)
		one, two := harness.Name("shared"), harness.Name("shared")
		DeferCleanup(k.Delete, one)
		DeferCleanup(k.Delete, two)
		const ns, app = "default", "/team/app:v1"

		first := k.Create(ctx, one, config...)
		for i, n := range first.Nodes(ctx) {
			pod := harness.Pod(fmt.Sprintf("pushed-%d", i), n.Name, harness.Pulled(pushed))
			Expect(first.FinishPod(ctx, ns, pod)).To(Equal("from the host"), n.Status.NodeInfo.ContainerRuntimeVersion)
		}
		pod := harness.Pod("cached", first.Nodes(ctx)[0].Name, harness.Pulled(upstream+app))
		Expect(first.FinishPod(ctx, ns, pod)).To(Equal("from far away"))
		first.Delete(ctx)
		Expect(u.Remove(ctx)).To(Succeed())

		second := k.Create(ctx, two, config...)
		for i, n := range second.Nodes(ctx) {
			pod := harness.Pod(fmt.Sprintf("cached-%d", i), n.Name, harness.Pulled(upstream+app))
			Expect(second.FinishPod(ctx, ns, pod)).To(Equal("from far away"), n.Status.NodeInfo.ContainerRuntimeVersion)
		}
	})
})
