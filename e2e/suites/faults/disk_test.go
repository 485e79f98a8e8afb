package faults_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// ha is a cluster of three control planes.
var ha *harness.Cluster

var _ = Describe("Three control planes", Ordered, Serial, harness.Long, func() {
	BeforeAll(func(ctx SpecContext) {
		k := &harness.Kluster{Bin: c.Bin, Kubeconfig: c.Kubeconfig}
		ha = k.Create(ctx, harness.Name("faults-ha"), "--control-planes", "3")
		DeferCleanup(ha.Delete)
	}, NodeTimeout(harness.CreateTimeout))

	It("a full disk under one etcd: the others serve, and it is back when there is space", func(ctx SpecContext) {
		victim := member(3)
		before := hostFree(ctx, victim)
		full := time.Now()
		ha.Must(ctx, "fault", "disk-full", "control-plane-3", "--cluster", ha.Name, "--for", "1m", "--detach")
		report("the command", time.Since(full))
		Eventually(ctx, write).WithTimeout(time.Minute).Should(Succeed(), "by way of the load balancer")
		Eventually(ctx, etcdLog).WithArguments(victim).WithTimeout(time.Minute).Should(ContainSubstring("no space left on device"))
		report("etcd has said why it ended", time.Since(full))
		Expect(ha.Exec(ctx, victim, "df", "/var/lib/etcd").Stdout).To(ContainSubstring("100%"))
		Expect(before-hostFree(ctx, victim)).To(BeNumerically("<", 512<<10), "KiB that the host's disk has lost")
		for range 20 {
			Expect(write(ctx)).To(Succeed())
		}
		ha.Must(ctx, "fault", "clear", "--all", "--cluster", ha.Name)
		freed := time.Now()
		Eventually(ctx, ha.EtcdVoters).WithArguments(member(1)).WithTimeout(time.Minute).Should(Equal(3))
		report("all three vote again after there is space", time.Since(freed))
		Expect(strings.Fields(ha.MustExec(ctx, victim, "ls", "-A", "/var/lib/etcd"))).To(Equal([]string{"member"}))
		Expect(ha.MustExec(ctx, victim, "cat", "/proc/mounts")).NotTo(ContainSubstring("/dev/loop"))
		ha.AwaitNodes(ctx, engine(ctx), 3*time.Minute)
	})

	It("a full disk under one etcd whose node is killed then: no state is lost", func(ctx SpecContext) {
		victim := member(3)
		ha.Must(ctx, "fault", "disk-full", "control-plane-3", "--cluster", ha.Name, "--for", "10m", "--detach")
		for range 20 {
			Expect(write(ctx)).To(Succeed())
		}
		Expect(engine(ctx).API.ContainerKill(ctx, victim, "KILL")).To(Succeed())
		ha.Must(ctx, "node", "start", "control-plane-3", "--cluster", ha.Name)
		started := time.Now()
		Eventually(ctx, ha.EtcdVoters).WithArguments(member(1)).WithTimeout(2 * time.Minute).Should(Equal(3))
		report("all three vote again after the node's start", time.Since(started))
		Expect(strings.Fields(ha.MustExec(ctx, victim, "ls", "-A", "/var/lib/etcd"))).To(Equal([]string{"member"}))
		var all []active
		ha.Must(ctx, "fault", "list", "--cluster", ha.Name, "-o", "json").Decode(&all)
		Expect(all).To(BeEmpty())
		ha.AwaitNodes(ctx, engine(ctx), 3*time.Minute)
	})

	scenarioSpecs()
})

func member(i int) string { return fmt.Sprintf("%s-control-plane-%d", ha.Name, i) }

// write is one that the API acknowledges, by way of the load balancer.
func write(ctx context.Context) error {
	r := ha.Run(ctx, "kubectl", "--cluster", ha.Name, "--", "--request-timeout=10s", "annotate", "--overwrite", "namespace", "default",
		fmt.Sprintf("test/at=%d", time.Now().UnixNano()))
	if r.Code != 0 {
		return fmt.Errorf("writing: %s", r)
	}
	return nil
}

// etcdLog is what a node's etcd has said in its lives.
func etcdLog(ctx context.Context, node string) string {
	return ha.Exec(ctx, node, "sh", "-c", "cat /var/log/pods/kube-system_etcd-*/etcd/*.log").Stdout
}

// hostFree is how many KiB the file system below a node's volumes has left.
func hostFree(ctx context.Context, node string) int {
	GinkgoHelper()
	var free int
	_, err := fmt.Sscan(strings.TrimSpace(ha.MustExec(ctx, node, "sh", "-c", "df --output=avail -k /var/log | tail -1")), &free)
	Expect(err).NotTo(HaveOccurred())
	return free
}
