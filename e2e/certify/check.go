package certify

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Check looks at a folder as the submission's bot does, and at what reviewers
// look for in the log. required are the names of the specs that the release asks
// for. It needs no network: see Unchecked.
func Check(dir string, required []string) error {
	var r reasons
	content := checkFiles(&r, dir)
	checkProduct(&r, content[ProductFile])
	checkJUnit(&r, content[JUnitFile], required)
	checkLog(&r, string(content[LogFile]), len(required))
	return r.err()
}

// checkFiles reads the four files, which must have something in them, and adds
// what else lies there.
func checkFiles(r *reasons, dir string) map[string][]byte {
	content := map[string][]byte{}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(dir, name))
		switch {
		case err != nil:
			r.add("%v", err)
		case len(data) == 0:
			r.add("%s is empty", name)
		}
		content[name] = data
	}
	for _, name := range strangers(dir) {
		r.add("%s must not be in a submission", name)
	}
	return content
}

// strangers are what lies in a folder beside the four files.
func strangers(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if !slices.Contains(files, e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// checkProduct reads strings, as the bot does: "version: 1.7" without quotes is
// a number and does not pass.
func checkProduct(r *reasons, data []byte) {
	var values map[string]any
	if err := yaml.Unmarshal(data, &values); err != nil {
		r.add("%s: %v", ProductFile, err)
		return
	}
	for name, value := range values {
		if _, ok := value.(string); !ok {
			r.add("%s: %s is no text: put it in quotes", ProductFile, name)
		}
	}
	var p Product
	if err := yaml.Unmarshal(data, &p); err != nil {
		r.add("%s: %v", ProductFile, err)
		return
	}
	p.check(r)
}

type junitSuites struct {
	Suites []struct {
		Properties []struct {
			Name  string `xml:"name,attr"`
			Value string `xml:"value,attr"`
		} `xml:"properties>property"`
		Cases []junitCase `xml:"testcase"`
	} `xml:"testsuite"`
}

type junitCase struct {
	Name    string    `xml:"name,attr"`
	Skipped *struct{} `xml:"skipped"`
	Failure *struct{} `xml:"failure"`
	Error   *struct{} `xml:"error"`
}

// mayBe are the values that ginkgo's settings may have, as it tells them in
// JUnit.
var mayBe = map[string][]string{
	"FocusStrings":  {"", conformanceFocus},
	"LabelFilter":   {"", conformanceLabel},
	"SkipStrings":   {""},
	"FocusFiles":    {""},
	"SkipFiles":     {""},
	"FlakeAttempts": {"0"},
	"DryRun":        {"false"},
}

// checkJUnit asks for a pass of each required spec, and for no failure.
func checkJUnit(r *reasons, data []byte, required []string) {
	var suites junitSuites
	if err := xml.Unmarshal(data, &suites); err != nil {
		r.add("%s: %v", JUnitFile, err)
		return
	}
	passed := map[string]bool{}
	var failed []string
	for _, s := range suites.Suites {
		for _, p := range s.Properties {
			if values, ok := mayBe[p.Name]; ok && !slices.Contains(values, p.Value) {
				r.add("%s: the suite ran with %s %q", JUnitFile, p.Name, p.Value)
			}
		}
		for _, c := range s.Cases {
			name := strings.TrimPrefix(c.Name, "[It] ")
			switch {
			case c.Failure != nil || c.Error != nil:
				failed = append(failed, name)
			case c.Skipped == nil:
				passed[name] = true
			}
		}
	}
	missing := slices.DeleteFunc(slices.Clone(required), func(name string) bool { return passed[name] })
	if len(missing) > 0 {
		r.add("%s: missing, skipped or failed: %s", JUnitFile, specs(missing))
	}
	if len(failed) > 0 {
		r.add("%s: failed: %s", JUnitFile, specs(failed))
	}
}

var (
	colours = regexp.MustCompile("\x1b\\[[0-9;]*m")
	// outcome is ginkgo's last word on a suite.
	outcome = regexp.MustCompile(`(?m)^(SUCCESS|FAIL)! -- (\d+) Passed \| (\d+) Failed(?: \| (\d+) Flaked)?(?: \| (\d+) Repeated)? \| (\d+) Pending`)
)

// checkLog asks for the end of one good run of as many specs as are required.
func checkLog(r *reasons, log string, required int) {
	ends := outcome.FindAllStringSubmatch(colours.ReplaceAllString(log, ""), -1)
	if len(ends) != 1 {
		r.add("%s tells of the end of %d runs, not of one", LogFile, len(ends))
		return
	}
	end := ends[0]
	passed, _ := strconv.Atoi(end[2])
	if end[1] != "SUCCESS" || end[3] != "0" || end[6] != "0" || end[4] != "" || end[5] != "" {
		r.add("%s: not all is well: %s", LogFile, end[0])
	}
	if passed < required {
		r.add("%s: %d of %d required specs passed", LogFile, passed, required)
	}
}

// Unchecked are the rules that cannot be looked at here.
func (s Submission) Unchecked() []string {
	return []string{
		fmt.Sprintf("%s is one of the three releases that may be certified", s.Release),
		"the URLs of " + ProductFile + " answer with text/html, the logo's with SVG, AI or EPS",
		"the vendor has a participation form on file, which names the product",
		"the pull request has one commit, and no other files",
	}
}
