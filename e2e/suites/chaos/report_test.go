package chaos_test

import (
	"context"
	"fmt"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/chaos"
	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// ran are the rows of this run.
var ran chaos.Report

// publish puts a row into the report beside the program under test: bin/chaos.json and .md.
// Rows of earlier runs stay until they run again.
func publish(ctx context.Context, e *harness.Engine, row chaos.Row) {
	GinkgoHelper()
	bin, err := harness.Binary()
	Expect(err).NotTo(HaveOccurred())
	base := filepath.Join(filepath.Dir(bin), "chaos")
	report, err := chaos.Read(base + ".json")
	Expect(err).NotTo(HaveOccurred())
	report.Machine = machine(ctx, e)
	report.Put(row)
	report.Sort(names())
	ran.Put(row)
	Expect(report.Write(base)).To(Succeed())
	AddReportEntry("chaos: "+row.Name, fmt.Sprintf("%+v", row.Budgets))
}

// machine says on what it was measured.
func machine(ctx context.Context, e *harness.Engine) string {
	GinkgoHelper()
	info, err := e.API.Info(ctx)
	Expect(err).NotTo(HaveOccurred())
	return fmt.Sprintf("%d processors, %d GB, Linux %s, cgroup v%s, engine %s, Kubernetes %s, %d control planes",
		info.NCPU, info.MemTotal>>30, info.KernelVersion, info.CgroupVersion, info.ServerVersion, c.Summary.KubernetesVersion, nodes)
}
