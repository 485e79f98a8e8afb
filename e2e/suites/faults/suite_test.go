// Package faults_test hurts a cluster of one control plane and two workers in every
// way there is, and sees from outside that each fault holds and is undone.
package faults_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

func TestFaults(t *testing.T) { harness.RunSuite(t, "kluster: faults") }

var c = harness.Shared("faults", "--control-planes", "1", "--workers", "2")

var engine = harness.SpecEngine

// late is how much later than it should a fault may be undone on a busy machine.
const late = 20 * time.Second

func controlPlane() string { return c.Name + "-control-plane-1" }

func worker(i int) string { return fmt.Sprintf("%s-worker-%d", c.Name, i) }

func loadBalancer() string { return c.Name + "-lb" }

// active is a fault in kluster's JSON.
type active struct {
	ID, Kind, Undo string
	Nodes          []string
	Since, Until   time.Time
}

// begin begins a fault and returns when it holds. It is cleared after the spec.
func begin(ctx context.Context, args ...string) active {
	GinkgoHelper()
	var all []active
	c.Must(ctx, append(append([]string{"fault"}, args...), "--cluster", c.Name, "--detach", "-o", "json")...).Decode(&all)
	Expect(all).To(HaveLen(1))
	DeferCleanup(clearAll)
	return all[0]
}

func clearAll(ctx context.Context) { c.Must(ctx, "fault", "clear", "--all", "--cluster", c.Name) }

// list are the faults that the cluster has.
func list(ctx context.Context) []active {
	GinkgoHelper()
	var all []active
	c.Must(ctx, "fault", "list", "--cluster", c.Name, "-o", "json").Decode(&all)
	return all
}

// state is that of a machine, as kluster tells it. The look is a verb: it undoes what is
// overdue.
func state(ctx context.Context, node string) string {
	GinkgoHelper()
	var all []harness.Machine
	c.Must(ctx, "get", "nodes", "--cluster", c.Name, "-o", "json").Decode(&all)
	for _, m := range all {
		if m.Name == node {
			return m.State
		}
	}
	return "gone"
}

// engineState is that of a container, as the engine tells it: nobody undoes anything.
func engineState(ctx context.Context, name string) (string, error) {
	e, err := harness.NewEngine(ctx)
	if err != nil {
		return "", err
	}
	found, err := e.API.ContainerInspect(ctx, name)
	if err != nil {
		return "", err
	}
	return found.State.Status, nil
}

// answers says whether a node's kubelet answers another node.
func answers(ctx context.Context, from, to string) (bool, error) {
	r := c.Exec(ctx, from, "curl", "-sk", "--noproxy", "*", "-o", "/dev/null", "-m", "2", "https://"+at(address(to), 10250)+"/healthz")
	switch r.Code {
	case 0:
		return true, nil
	case 7, 28: // it cannot connect, or the time is up
		return false, nil
	}
	return false, fmt.Errorf("asking %s from %s: %s", to, from, r)
}

// askAPI asks the API through the load balancer whether it is ready.
func askAPI(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return c.Client.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// at is a port of an address of either family.
func at(address string, port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }

// address is a node's fixed one.
func address(node string) string {
	for _, m := range c.Summary.Nodes {
		if m.Name == node {
			return m.Addresses[0]
		}
	}
	return ""
}

// guards are the processes of this suite's kluster that guard faults.
func guards() []int {
	GinkgoHelper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	Expect(err).NotTo(HaveOccurred())
	var pids []int
	for _, dir := range entries {
		args, _ := os.ReadFile(dir + "/cmdline") // it may have ended meanwhile
		env, _ := os.ReadFile(dir + "/environ")
		if !bytes.Contains(args, []byte("\x00fault\x00guard\x00")) || !bytes.Contains(env, []byte("KUBECONFIG="+c.Kubeconfig+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		Expect(err).NotTo(HaveOccurred())
		pids = append(pids, pid)
	}
	return pids
}

func killGuards() {
	GinkgoHelper()
	Expect(guards()).NotTo(BeEmpty())
	for _, pid := range guards() {
		Expect(syscall.Kill(pid, syscall.SIGKILL)).To(Succeed())
	}
	Eventually(guards).WithTimeout(10 * time.Second).Should(BeEmpty())
}

// records are the containers that record faults of a cluster.
func records(ctx context.Context, cluster string) []string {
	GinkgoHelper()
	e, err := harness.NewEngine(ctx)
	Expect(err).NotTo(HaveOccurred())
	all, err := e.Containers(ctx, cluster)
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, found := range all {
		if found.Labels["io.kluster.role"] == "fault" {
			names = append(names, found.Name)
		}
	}
	return names
}

// nothingLeft sees that no fault, record or guard is there.
func nothingLeft(ctx context.Context) {
	GinkgoHelper()
	Expect(list(ctx)).To(BeEmpty())
	Expect(records(ctx, c.Name)).To(BeEmpty())
	Eventually(guards).WithTimeout(10*time.Second).Should(BeEmpty(), "guards end after the undo")
}

// report prints a measurement and keeps it in the report.
func report(what string, d time.Duration) {
	AddReportEntry(what, d.Round(10*time.Millisecond).String())
	fmt.Fprintf(GinkgoWriter, "%s: %s\n", what, d.Round(10*time.Millisecond))
}
