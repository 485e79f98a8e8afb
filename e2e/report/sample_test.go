package report

import (
	"fmt"
	"testing"
	"testing/fstest"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// sample is a report with a spec in each state, and with all that may be set.
func sample() *Report {
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	return &Report{
		Suite: "conformance", Started: noon, Ended: at(185), Procs: 2, Seed: 4711,
		Filter:      Filter{Labels: "Conformance"},
		Resumed:     1,
		Interrupted: "interrupted by a signal",
		Clusters: []Cluster{{Name: "demo", Kubernetes: "v1.36.3", Nodes: []Node{
			{"demo-control-plane", "control-plane", "containerd://2.4.2", "v1.36.3", "6.1.0-40-amd64", "Debian GNU/Linux 13 (trixie)"},
			{"demo-worker", "worker", "containerd://2.4.2", "v1.36.3", "6.1.0-40-amd64", "Debian GNU/Linux 13 (trixie)"},
		}}},
		Parts: []Part{
			{Name: "registry.k8s.io/e2e-test-images/agnhost:2.63.0", Digest: "sha256:22", StandIn: "Debian instead of Alpine"},
			{Name: "e2e.test", Version: "v1.36.3", Digest: "sha256:11"},
		},
		Specs: []Spec{
			{Name: "[sig-node] Pods should be gone [Conformance]", State: Missing, Attempts: []Attempt{
				{Cluster: "demo", Proc: 2, Started: at(180)},
			}},
			{Name: "[sig-apps] Job should wait [Conformance]", State: Missing},
			{Name: "[sig-cli] Kubectl should print [Conformance]", State: Passed, Attempts: []Attempt{
				{Cluster: "demo", Proc: 1, Started: at(0), Seconds: 12.5, State: "passed"},
			}},
			{Name: "[sig-storage] Volumes should be slow [Slow] [Conformance]", State: Passed, Attempts: []Attempt{
				{Cluster: "demo", Proc: 2, Started: at(0), Seconds: 95, State: "passed"},
			}},
			{Name: "[sig-network] DNS should resolve <names> & more [Conformance]", Labels: []string{"Conformance"}, State: Failed, Attempts: []Attempt{
				{
					Cluster: "demo", Proc: 1, Started: at(13), Seconds: 30, State: "failed",
					Message:  "lookup \x1b[31mfailed\x1b[0m:\n    expected <string>: a\n```\nto equal <string>: b </script><script>alert(1)</script>",
					Location: "test/e2e/network/dns.go:42",
					Output:   "STEP: <img src=http://example.invalid/x.png onerror=alert(2)>\r\nSTEP: ask\x00 again\n",
					Evidence: "evidence/dns 1",
				},
				{Cluster: "demo", Proc: 1, Started: at(140), Seconds: 28, State: "timedout", Message: "too late"},
			}},
			{Name: "[sig-auth] Tokens should be bound [Conformance]", State: Flaky, Attempts: []Attempt{
				{Cluster: "demo", Proc: 1, Started: at(44), Seconds: 3, State: "panicked", Message: "index out of range", Output: "goroutine 1\n"},
				{Cluster: "demo", Proc: 1, Started: at(170), Seconds: 2.25, State: "passed"},
			}},
			{Name: "[sig-network] Service should balance [Conformance]", State: Skipped, Attempts: []Attempt{
				{Cluster: "demo", Proc: 2, Started: at(96), Seconds: 0.1, State: "skipped", Message: "only for [gce aws], not skeleton"},
			}},
		},
		Incidents: []Incident{{at(100), "node demo-worker was NotReady for 20s"}},
	}
}

// sampleEvidence is the folder of the sample.
func sampleEvidence() fstest.MapFS {
	return fstest.MapFS{
		"evidence/dns 1/again.sh":           {Data: []byte("kluster e2e run --focus 'DNS should resolve'\n")},
		"evidence/dns 1/events.txt":         {Data: []byte("Warning  FailedScheduling\n")},
		"evidence/dns 1/kubelet worker.log": {Data: make([]byte, 300<<10)},
		"evidence/dns 1/core.bin":           {Data: []byte("a\x00b")},
		"evidence/dns 1/pods/a:b.log":       {Data: []byte("inside\n")},
	}
}

// many is a report of n specs, each with the output and messages of a failure if
// it is a multiple of failing.
func many(n, failing, bytes int) *Report {
	r := &Report{Suite: "many", Started: noon, Procs: 8, Clusters: []Cluster{{Name: "demo"}}}
	var ends [8]time.Time
	for i := range n {
		proc := i % len(ends)
		if ends[proc].IsZero() {
			ends[proc] = noon
		}
		a := Attempt{Cluster: "demo", Proc: proc + 1, Started: ends[proc], Seconds: float64(1 + i*7%60), State: "passed"}
		s := Spec{Name: fmt.Sprintf("[sig-%c] group %d should do thing %04d [Conformance]", 'a'+rune(i%6), i%40, i), State: Passed}
		if failing > 0 && i%failing == 0 {
			s.State, a.State, a.Message = Failed, "failed", fmt.Sprintf("thing %d was not done", i)
			a.Output = fmt.Sprintf("%*d\n", bytes, i)
		}
		ends[proc] = ends[proc].Add(time.Duration(a.Seconds * float64(time.Second)))
		s.Attempts = []Attempt{a}
		r.Specs = append(r.Specs, s)
		r.Ended = ends[proc]
	}
	return r
}

// spec is one of a name and state that took some seconds.
func spec(name string, state State, seconds float64) Spec {
	word := map[State]string{Passed: "passed", Failed: "failed", Skipped: "skipped", Flaky: "passed"}[state]
	return Spec{Name: name, State: state, Attempts: []Attempt{{State: word, Seconds: seconds, Message: "because"}}}
}

func must[T any](t *testing.T, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}
