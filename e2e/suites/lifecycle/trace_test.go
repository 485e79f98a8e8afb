package lifecycle_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// traceEvent is one of the Chrome trace event format.
type traceEvent struct {
	Name, Ph string
	Ts, Dur  float64
	Pid      int
	Args     map[string]any
}

// spanNames are the names of what a trace shows, by the name of its track.
func spanNames(file string) map[string][]string {
	GinkgoHelper()
	data, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	var doc struct{ TraceEvents []traceEvent }
	Expect(json.Unmarshal(data, &doc)).To(Succeed())
	tracks, names := map[int]string{}, map[string][]string{}
	for _, e := range doc.TraceEvents {
		if e.Name == "process_name" {
			tracks[e.Pid] = e.Args["name"].(string)
		}
	}
	for _, e := range doc.TraceEvents {
		if e.Ph != "X" && e.Ph != "i" {
			continue
		}
		Expect(e.Dur).To(BeNumerically(">=", 0), e.Name)
		names[tracks[e.Pid]] = append(names[tracks[e.Pid]], e.Name)
	}
	return names
}

var _ = Describe("kluster create --trace", harness.Short, func() {
	It("shows every step, and every node from its boot to Ready", func(ctx SpecContext) {
		k := harness.New()
		name := named(k, "trace")
		file := filepath.Join(GinkgoT().TempDir(), "trace.json")
		r := k.Must(ctx, "create", "--name", name, "--control-planes", "1", "--workers", "1", "--trace", file)
		Expect(r.Stderr).To(ContainSubstring("What the end waited for"))

		names := spanNames(file)
		for step := range strings.Lines(k.Must(ctx, "create", "--list-steps").Stdout) {
			Expect(names["host"]).To(ContainElement(strings.TrimSpace(step)))
		}
		for _, node := range []string{name + "-control-plane-1", name + "-worker-1"} {
			Expect(names[node]).To(ContainElements(
				"machine-id", "containerd.service", "kubelet.service", "registered", "node is registered", "node is Ready",
			), node)
		}
		Expect(names[name+"-control-plane-1"]).To(ContainElements(
			"sandbox of etcd-"+name+"-control-plane-1", "starting container kube-apiserver",
			"etcd: created, not started", "has a leader", "leads", "ready", "[certs]",
		))
	})
})
