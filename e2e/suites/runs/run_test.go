package runs_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// quick picks specs of a few seconds each, with a pod of its own that may be on
// either worker.
const (
	quick      = `\[sig-storage\] EmptyDir volumes should support `
	quickSpecs = 12
	// many picks more specs than can fail in the time after which a cluster is lost.
	many      = `\[sig-storage\] `
	manySpecs = 80 // at least
)

// Exit codes of a run (docs/e2e.md).
const (
	incomplete  = 1
	badInput    = 2
	failed      = 3
	unfit       = 4
	interrupted = 130
)

// markEnv marks all that a run starts: its value is in their environment.
const markEnv = "KLUSTER_IT_RUN"

// run is a "kluster e2e run" on its way.
type run struct {
	*harness.Process
	dir  string // of its report
	tmp  string // its folder for temporary files, nobody else's
	mark string
	args []string
}

// start starts a run of the quick specs, on the suite's cluster unless the flags name
// another.
func start(ctx context.Context, flags ...string) *run {
	GinkgoHelper()
	tmp := GinkgoT().TempDir()
	r := &run{dir: filepath.Join(tmp, "report"), tmp: filepath.Join(tmp, "tmp"), mark: markEnv + "=" + filepath.Base(tmp)}
	Expect(os.Mkdir(r.tmp, 0o755)).To(Succeed())
	r.args = append([]string{"e2e", "run", "--suite", "conformance", "--focus", quick, "--procs", "4", "--report-dir", r.dir}, flags...)
	if !slices.Contains(flags, "--create") && !slices.Contains(flags, "--cluster") {
		r.args = append(r.args, "--cluster", c.Name)
	}
	r.begin(ctx)
	return r
}

// begin starts the command line of the run.
func (r *run) begin(ctx context.Context, more ...string) {
	GinkgoHelper()
	k := *c.Kluster
	k.Env = append(k.Env, r.mark, "TMPDIR="+r.tmp)
	var err error
	r.Process, err = k.Start(ctx, nil, append(r.args, more...)...)
	Expect(err).NotTo(HaveOccurred())
}

// wait waits for the end, and shows what was said when the spec fails.
func (r *run) wait() harness.Result {
	GinkgoHelper()
	result := r.Wait()
	AddReportEntry("kluster e2e run", result.String(), ReportEntryVisibilityFailureOrVerbose)
	return result
}

// report reads the report that the run has left.
func (r *run) report() *report.Report {
	GinkgoHelper()
	data, err := os.ReadFile(filepath.Join(r.dir, report.FileName))
	Expect(err).NotTo(HaveOccurred())
	var got report.Report
	Expect(json.Unmarshal(data, &got)).To(Succeed())
	if slices.Contains(r.args, many) {
		Expect(len(got.Specs)).To(BeNumerically(">", manySpecs), "planned specs")
	} else {
		Expect(got.Specs).To(HaveLen(quickSpecs), "planned specs")
	}
	names := map[string]bool{}
	for _, s := range got.Specs {
		names[s.Name] = true
	}
	Expect(names).To(HaveLen(len(got.Specs)), "each spec once")
	return &got
}

// journal are the names of the specs that have begun and that have passed, as the
// run's journal tells while it is written.
func (r *run) journal() (begun, passed []string) {
	data, err := os.ReadFile(filepath.Join(r.dir, "events.jsonl"))
	if err != nil {
		return nil, nil // not yet
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var e struct{ Kind, Spec, State string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // it is being written
		}
		switch {
		case e.Kind == "start":
			begun = append(begun, e.Spec)
		case e.Kind == "end" && e.State == "passed":
			passed = append(passed, e.Spec)
		}
	}
	return begun, passed
}

// interrupted says whether a spec has been interrupted.
func (r *run) interrupted() bool {
	data, err := os.ReadFile(filepath.Join(r.dir, "events.jsonl"))
	return err == nil && bytes.Contains(data, []byte(`"state":"interrupted"`))
}

// startTimeout bounds a run's way to its first specs: its plan, its preflight, and
// each process reading thousands of specs, beside whatever else the machine does.
const startTimeout = 4 * time.Minute

// awaitSpecs waits until a spec has passed and others run.
func (r *run) awaitSpecs(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		begun, passed := r.journal()
		g.Expect(passed).NotTo(BeEmpty())
		g.Expect(len(begun)).To(BeNumerically(">", len(passed)))
	}).WithTimeout(startTimeout).WithPolling(50 * time.Millisecond).Should(Succeed())
}

// awaitBegin waits until specs run.
func (r *run) awaitBegin(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func() []string {
		begun, _ := r.journal()
		return begun
	}).WithTimeout(startTimeout).WithPolling(50 * time.Millisecond).ShouldNot(BeEmpty())
}

// processes are what the run has started and still runs: the command lines of all
// processes with its mark.
func (r *run) processes() ([]string, error) {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append(env, 0), append([]byte(r.mark), 0)) {
			continue // it has ended, or is not ours
		}
		cmdline, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err == nil && len(cmdline) > 0 {
			found = append(found, fmt.Sprintf("%s %s", filepath.Base(filepath.Dir(file)), strings.ReplaceAll(string(cmdline), "\x00", " ")))
		}
	}
	return found, nil
}

// expectNothingLeft checks that the run has taken all it made with it: processes
// and temporary files.
func (r *run) expectNothingLeft() {
	GinkgoHelper()
	Expect(r.processes()).To(BeEmpty())
	left, err := os.ReadDir(r.tmp)
	Expect(err).NotTo(HaveOccurred())
	Expect(left).To(BeEmpty(), "temporary files")
}

// texts are the report's incidents.
func texts(r *report.Report) []string {
	var all []string
	for _, i := range r.Incidents {
		all = append(all, i.Text)
	}
	return all
}
