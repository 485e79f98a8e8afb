package faults_test

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

var (
	pingTimes = regexp.MustCompile(`= [0-9.]+/([0-9.]+)/`)
	pingLost  = regexp.MustCompile(`([0-9.]+)% packet loss`)
)

// ping sends packets from one node to another, with -U: else the kernel tells when it first saw an answer, before a
// fault kept it back. It gives the mean round trip and how
// many of a hundred were lost.
func ping(ctx context.Context, from, to string, n int) (rtt time.Duration, lost float64) {
	GinkgoHelper()
	r := c.Exec(ctx, from, "ping", "-U", "-q", "-c", strconv.Itoa(n), "-i", "0.02", "-W", "2", address(to))
	found := pingLost.FindStringSubmatch(r.Stdout)
	Expect(found).NotTo(BeNil(), r.String())
	lost, err := strconv.ParseFloat(found[1], 64)
	Expect(err).NotTo(HaveOccurred())
	if found := pingTimes.FindStringSubmatch(r.Stdout); found != nil {
		ms, err := strconv.ParseFloat(found[1], 64)
		Expect(err).NotTo(HaveOccurred())
		rtt = time.Duration(ms * float64(time.Millisecond))
	}
	return rtt, lost
}

// zerosPort is where zeros come from without end.
const zerosPort = "8099"

// serving serves zeros on a node for the time of a spec.
func serving(ctx context.Context, node string) (at string) {
	GinkgoHelper()
	c.MustExec(ctx, node, "systemd-run", "--quiet", "--unit=zeros", "--collect",
		"socat", "-u", "OPEN:/dev/zero", "TCP-LISTEN:"+zerosPort+",fork,reuseaddr")
	DeferCleanup(func(ctx context.Context) { c.Exec(ctx, node, "systemctl", "stop", "zeros.service") })
	return net.JoinHostPort(address(node), zerosPort)
}

// downloads is for how long zeros are fetched.
const downloads = 5 * time.Second

// download gives how many bits per second arrive over some seconds.
func download(ctx context.Context, node, at string) float64 {
	GinkgoHelper()
	r := c.Exec(ctx, node, "sh", "-c", fmt.Sprintf("timeout %.0f socat -u TCP:%s STDOUT | wc -c", downloads.Seconds(), at))
	n, err := strconv.ParseFloat(strings.TrimSpace(r.Stdout), 64)
	Expect(err).NotTo(HaveOccurred(), r.String())
	return n * 8 / downloads.Seconds()
}

// losesPackets has a node lose a fifth of its packets each way, for a while.
func losesPackets(ctx SpecContext) {
	GinkgoHelper()
	begin(ctx, "loss", "worker-1", "--percent", "20", "--for", "5m")
	_, lost := ping(ctx, worker(1), worker(2), 500)
	AddReportEntry("lost of a hundred, of 20% each way (36)", lost)
	Expect(lost).To(BeNumerically("~", 36, 10))
	clearAll(ctx)
	_, lost = ping(ctx, worker(1), worker(2), 100)
	Expect(lost).To(BeZero())
}

var _ = Describe("A slow network", Serial, func() {
	It("latency: round trips take longer by it, with the nodes named alone", harness.Short, func(ctx SpecContext) {
		before, _ := ping(ctx, worker(1), worker(2), 10)
		begin(ctx, "latency", "worker-1", "--from", "worker-2", "--delay", "80ms", "--for", "5m")
		there, _ := ping(ctx, worker(1), worker(2), 20)
		back, _ := ping(ctx, worker(2), worker(1), 20)
		report("round trip before", before)
		report("round trip with 80 ms", there)
		for _, rtt := range []time.Duration{there, back} {
			Expect(rtt).To(BeNumerically("~", 80*time.Millisecond+before, 40*time.Millisecond))
		}
		other, _ := ping(ctx, worker(1), controlPlane(), 10)
		Expect(other).To(BeNumerically("<", 40*time.Millisecond), "nobody else is slow")
		clearAll(ctx)
		after, _ := ping(ctx, worker(1), worker(2), 10)
		Expect(after).To(BeNumerically("<", 40*time.Millisecond))
		nothingLeft(ctx)
	})

	It("latency: packets pass when the process that keeps them back is killed", harness.Long, func(ctx SpecContext) {
		begin(ctx, "latency", "worker-1", "--delay", "200ms", "--for", "5m")
		slow, _ := ping(ctx, worker(1), worker(2), 5)
		Expect(slow).To(BeNumerically(">", 200*time.Millisecond))
		c.MustExec(ctx, worker(1), "sh", "-c", "systemctl kill --signal=KILL 'kluster-fault-*.service'")
		Eventually(ctx, func(ctx context.Context) time.Duration {
			rtt, _ := ping(ctx, worker(1), worker(2), 5)
			return rtt
		}).WithTimeout(late).Should(BeNumerically("<", 100*time.Millisecond))
		clearAll(ctx)
		nothingLeft(ctx)
	})

	It("loss: some packets are lost, each way", harness.Long, func(ctx SpecContext) {
		losesPackets(ctx)
		nothingLeft(ctx)
	})

	It("bandwidth: what goes between nodes has a limit, each way", harness.Long, func(ctx SpecContext) {
		url := serving(ctx, worker(2))
		Eventually(ctx, download).WithArguments(worker(1), url).WithTimeout(time.Minute).Should(BeNumerically(">", 100e6))
		begin(ctx, "bandwidth", "worker-1", "--rate", "10mbit", "--for", "5m")
		in := download(ctx, worker(1), url)
		AddReportEntry("Mbit/s that arrive with 10", in/1e6)
		Expect(in).To(BeNumerically("~", 10e6, 5e6))
		Expect(download(ctx, controlPlane(), url)).To(BeNumerically(">", 100e6), "others are as fast as before")
		clearAll(ctx)
		begin(ctx, "bandwidth", "worker-2", "--rate", "10mbit", "--for", "5m", "--direction", "out")
		out := download(ctx, worker(1), url)
		AddReportEntry("Mbit/s that leave with 10", out/1e6)
		Expect(out).To(BeNumerically("~", 10e6, 4e6))
		clearAll(ctx)
		Expect(download(ctx, worker(1), url)).To(BeNumerically(">", 100e6))
		nothingLeft(ctx)
	})

	It("is undone when its time is up, and leaves nothing in the node", harness.Short, func(ctx SpecContext) {
		a := begin(ctx, "latency", "worker-1", "--for", "4s")
		begin(ctx, "loss", "worker-1", "--for", "4s")
		b := begin(ctx, "bandwidth", "worker-1", "--for", "4s")
		Expect(list(ctx)).NotTo(BeEmpty(), "they go together")
		Eventually(ctx, list).WithTimeout(time.Until(b.Until) + late).Should(BeEmpty())
		report("all undone after the time of the first", time.Since(a.Until))
		r := c.MustExec(ctx, worker(1), "sh", "-c", "nft list tables; iptables -t raw -S; tc qdisc show; ip -o link; systemctl list-units --all 'kluster-fault-*' 'kluster-undo-*'")
		Expect(r).NotTo(Or(ContainSubstring("kluster_fault"), ContainSubstring("KLUSTER-LATENCY"), ContainSubstring("htb"),
			ContainSubstring("kluster-sink"), ContainSubstring("kluster-undo-")))
	})
})
