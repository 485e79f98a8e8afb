package faults_test

import (
	"os"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// ran is the report of a scenario in kluster's JSON.
type ran struct {
	Scenario string
	Passed   bool
	Seconds  float64
	Steps    []struct {
		Name, State, Error string
		Nodes              []string
		Seconds            float64
	}
}

// scenarioSpecs are those on three control planes.
func scenarioSpecs() {
	for _, name := range []string{"lose-leader", "split-brain", "rolling-kills", "slow-network", "disk-full"} {
		It("scenario "+name, func(ctx SpecContext) {
			ha.AwaitNodes(ctx, engine(ctx), 3*time.Minute)
			r := ha.Run(ctx, "fault", "run", name, "--cluster", ha.Name, "-o", "json")
			Expect(r.Code).To(Equal(0), r.String())
			var report ran
			r.Decode(&report)
			Expect(report.Passed).To(BeTrue())
			for _, s := range report.Steps {
				AddReportEntry(s.Name, s.Seconds)
				GinkgoWriter.Printf("%7.2f s  %s %v\n", s.Seconds, s.Name, s.Nodes)
			}
			Expect(ha.Must(ctx, "fault", "list", "--cluster", ha.Name, "-o", "name").Lines()).To(BeEmpty())
		}, SpecTimeout(15*time.Minute))
	}
}

// scenarioFile writes a scenario.
func scenarioFile(text string) string {
	GinkgoHelper()
	file := filepath.Join(GinkgoT().TempDir(), "s.yaml")
	Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed())
	return file
}

var _ = Describe("A scenario", Serial, harness.Short, func() {
	It("ends with 1 when something does not hold, and undoes its faults", func(ctx SpecContext) {
		file := scenarioFile(`name: s
steps:
- parallel:
  - fault: {kind: latency, nodes: [worker/1], for: 10m}
  - fault: {kind: partition, nodes: [worker/2], for: 10m}
- check: {that: {answers: [load-balancer, control-plane/all]}, within: 10s}
- check: {that: {command: {args: [kubectl-that-is-not-there]}}}
`)
		r := c.Run(ctx, "fault", "run", file, "--cluster", c.Name, "-o", "json")
		Expect(r.Code).To(Equal(1), r.String())
		var report ran
		r.Decode(&report)
		var states []string
		for _, s := range report.Steps {
			states = append(states, s.State)
		}
		Expect(states).To(Equal([]string{"passed", "passed", "failed", "passed"}))
		nothingLeft(ctx)
	})

	It("is undone by Ctrl-C", func(ctx SpecContext) {
		file := scenarioFile("name: s\nsteps:\n- fault: {kind: pause, nodes: [worker/1], for: 10m}\n- wait: {for: 10m}\n")
		p, err := c.Start(ctx, nil, "fault", "run", file, "--cluster", c.Name)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, engineState).WithArguments(worker(1)).WithTimeout(late).Should(Equal("paused"))
		Expect(p.Signal(syscall.SIGINT)).To(Succeed())
		r := p.Wait()
		Expect(r.Code).To(Equal(130), r.String())
		Expect(engineState(ctx, worker(1))).To(Equal("running"))
		nothingLeft(ctx)
	})

	It("with mistakes is refused with all of them", func(ctx SpecContext) {
		r := c.Run(ctx, "fault", "run", scenarioFile("name: s\nsteps:\n- wait: {for: soon}\n- fault: {kind: kill, nodes: [moon/1/2]}\n"), "--cluster", c.Name)
		Expect(r.Code).To(Equal(2), r.String())
		Expect(r.Stderr).To(And(ContainSubstring("s.yaml:3:"), ContainSubstring("s.yaml:4:")))
	})
})
