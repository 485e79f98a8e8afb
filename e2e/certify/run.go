package certify

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/e2e/report"
)

// What a certified run may have been asked: all of conformance, and nothing else.
const (
	conformanceSuite = "conformance"
	conformanceLabel = "Conformance"
	conformanceFocus = `\[Conformance\]`
)

// checkRun adds why a run is no certification, whatever its files say.
func checkRun(r *reasons, run *report.Report, required []string) {
	checkAsked(r, run)
	checkResults(r, run, required)
	checkCourse(r, run)
	checkParts(r, run)
}

func checkAsked(r *reasons, run *report.Report) {
	f := run.Filter
	if run.Suite != conformanceSuite {
		r.add("the suite was %q, not %q", run.Suite, conformanceSuite)
	}
	if f.Labels != "" && f.Labels != conformanceLabel {
		r.add("specs were picked by the label filter %q", f.Labels)
	}
	if len(f.Focus) > 0 && !slices.Equal(f.Focus, []string{conformanceFocus}) {
		r.add("specs were focused: %q", f.Focus)
	}
	if len(f.Skip) > 0 {
		r.add("specs were skipped by request: %q", f.Skip)
	}
}

// checkResults asks for one pass of each required spec, and of all others that
// were run.
func checkResults(r *reasons, run *report.Report, required []string) {
	planned := map[string]bool{}
	states := map[report.State][]string{}
	var again []string
	for _, s := range run.Specs {
		planned[s.Name] = true
		states[s.State] = append(states[s.State], s.Name)
		if len(s.Attempts) > 1 {
			again = append(again, s.Name)
		}
	}
	var absent []string
	for _, name := range required {
		if !planned[name] {
			absent = append(absent, name)
		}
	}
	for _, list := range []struct {
		names []string
		what  string
	}{
		{absent, "required, but were not planned"},
		{states[report.Failed], "failed"},
		{states[report.ExpectedFailure], "failed"},
		{states[report.Flaky], "passed only when run again"},
		{states[report.Skipped], "skipped"},
		{states[report.Missing], "missing: they never ran to an end"},
		{again, "run more than once"},
	} {
		if len(list.names) > 0 {
			r.add("%s: %s", list.what, specs(list.names))
		}
	}
	if len(required) == 0 {
		r.add("nobody said which specs are required")
	}
}

// checkCourse asks for one run on one cluster.
func checkCourse(r *reasons, run *report.Report) {
	if run.Interrupted != "" {
		r.add("the run was interrupted: %s", run.Interrupted)
	}
	if run.Expectations != "" {
		r.add("the run was held against a list of known failures")
	}
	if run.Resumed > 0 {
		r.add("the run was cut off and taken up again")
	}
	if n := len(run.Clusters); n != 1 {
		r.add("the run was on %d clusters: one cluster is certified, by one run", n)
	}
	if v := run.Versions(); len(v) == 1 && release(v[0]) == "" {
		r.add("the cluster's version %q is none of a release", v[0])
	} else if len(v) == 0 {
		r.add("the report does not say which Kubernetes the cluster is")
	}
}

// checkParts asks for upstream's own parts, of the cluster's release.
func checkParts(r *reasons, run *report.Report) {
	if len(run.Parts) == 0 {
		r.add("the report does not say what the run was made with")
	}
	for _, p := range run.StandIns() {
		r.add("%s is a stand-in: %s", p.Name, p.StandIn)
	}
	for _, p := range run.Parts {
		if v := run.Versions(); p.Name == "e2e.test" && len(v) == 1 && release(p.Version) != release(v[0]) {
			r.add("e2e.test is of %s, the cluster of %s", p.Version, v[0])
		}
	}
}

var releases = regexp.MustCompile(`^v1\.[0-9]{2}(\.|$)`)

// release is v1.36 of v1.36.3, "" of what is no version that the bot knows.
func release(version string) string {
	return strings.TrimSuffix(releases.FindString(version), ".")
}
