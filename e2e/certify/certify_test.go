package certify

import (
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/golden"
)

var required = []string{"[sig-apps] Job should run [Conformance]", "[sig-node] Pods should \"exec\" [Conformance]"}

// product is the fictional one of the program's own instructions.
func product() Product {
	return Product{
		Vendor: "Yoyodyne", Name: "Turbo Encabulator", Version: "1.7", Type: "installer",
		Description: "A superb installer: for all of your Encabulating needs.",
		WebsiteURL:  "https://yoyo.dyne/turbo-encabulator", DocumentationURL: "https://yoyo.dyne/turbo-encabulator/docs",
		ContactEmail: "yoyodyne@turbo-encabulator.org",
	}
}

// run is one that is accepted.
func run() *report.Report {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	r := &report.Report{
		Suite: "conformance", Started: at, Ended: at.Add(1900 * time.Second), Procs: 8, Seed: 4711,
		Filter: report.Filter{Labels: "Conformance"},
		Clusters: []report.Cluster{{Name: "demo", Kubernetes: "v1.36.3", Nodes: []report.Node{
			{Name: "demo-1", Role: "worker", Runtime: "containerd://2.4.2", Kubelet: "v1.36.3", Kernel: "6.1.0", OS: "Debian | GNU/Linux"},
		}}},
		Parts: []report.Part{{Name: "e2e.test", Version: "v1.36.3", Digest: "sha256:11"}},
	}
	for _, name := range required {
		r.Specs = append(r.Specs, report.Spec{Name: name, State: report.Passed, Attempts: []report.Attempt{{State: "passed"}}})
	}
	return r
}

const log = "Running Suite: Kubernetes e2e suite - /tmp\nWill run 2 of 7579 specs\nSSSS•SS•\n" +
	"Ran 2 of 7579 Specs in 1895.405 seconds\n" +
	"\x1b[38;5;10m\x1b[1mSUCCESS!\x1b[0m -- \x1b[38;5;10m\x1b[1m2 Passed\x1b[0m | \x1b[38;5;9m\x1b[1m0 Failed\x1b[0m | " +
	"\x1b[38;5;11m\x1b[1m0 Pending\x1b[0m | \x1b[38;5;14m\x1b[1m7577 Skipped\x1b[0m\nPASS\n"

// junit is as the suite writes it: each case's element is empty, or what rest
// has for its index.
func junit(properties string, rest map[int]string) string {
	var b strings.Builder
	b.WriteString(xml.Header + `<testsuites><testsuite name="Kubernetes e2e suite"><properties>` + properties + `</properties>` +
		`<testcase name="[SynchronizedBeforeSuite]" status="passed"></testcase>` +
		`<testcase name="[It] [sig-cli] Other" status="skipped"><skipped message="skipped"></skipped></testcase>`)
	for i, name := range required {
		name = strings.ReplaceAll(name, `"`, "&#34;")
		fmt.Fprintf(&b, `<testcase name="[It] %s" status="x">%s</testcase>`, name, rest[i])
	}
	b.WriteString(`</testsuite></testsuites>`)
	return b.String()
}

const properties = `<property name="FocusStrings" value="\[Conformance\]"></property><property name="SkipStrings" value=""></property>` +
	`<property name="FlakeAttempts" value="0"></property><property name="RandomSeed" value="1"></property>`

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// bundle is one that is accepted, and the folder of its sources.
func bundle(t *testing.T) (Bundle, string) {
	t.Helper()
	dir := t.TempDir()
	return Bundle{
		Report: run(), Product: product(), Required: required,
		Log:      write(t, dir, "e2e.log", log),
		JUnit:    write(t, dir, "junit_01.xml", junit(properties, nil)),
		Commands: []string{"kluster create --name demo --workers 2", "kluster e2e run --suite conformance"},
	}, dir
}

func TestWrite(t *testing.T) {
	b, dir := bundle(t)
	out := filepath.Join(dir, "bundle")
	for range 2 { // The second replaces the first.
		s, err := b.Write(out)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Submission{"v1.36", "v1.36/turbo-encabulator", "Conformance results for v1.36/turbo-encabulator"}); s != want {
			t.Errorf("%+v", s)
		}
		if got := s.Unchecked(); len(got) != 4 || !strings.HasPrefix(got[0], "v1.36 is one of") {
			t.Errorf("%q", got)
		}
	}
	var names []string
	for _, pattern := range []string{filepath.Join(out, "*"), filepath.Join(out, ".*"), filepath.Join(dir, ".*")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			names = append(names, filepath.Base(f))
		}
	}
	if diff := cmp.Diff([]string{"PRODUCT.yaml", "README.md", "e2e.log", "junit_01.xml"}, names); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{ProductFile, ReadmeFile} {
		data, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		golden.Check(t, filepath.Join("testdata", name), string(data))
	}
	if err := Check(out, required); err != nil {
		t.Error(err)
	}
	got, err := LoadProduct(filepath.Join(out, ProductFile))
	if diff := cmp.Diff(product(), got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Bundle)
		want   []string
	}{
		{"another suite", func(b *Bundle) { b.Report.Suite = "smoke" }, []string{`the suite was "smoke", not "conformance"`}},
		{"asked for less", func(b *Bundle) {
			b.Report.Filter = report.Filter{Labels: "Conformance && !Serial", Focus: []string{"Pods"}, Skip: []string{"Job"}}
		}, []string{`specs were picked by the label filter "Conformance && !Serial"`, `specs were focused: ["Pods"]`, `specs were skipped by request: ["Job"]`}},
		{"stand-ins", func(b *Bundle) {
			b.Report.Parts = append(b.Report.Parts, report.Part{Name: "agnhost:2.63.0", StandIn: "Debian"})
		}, []string{"agnhost:2.63.0 is a stand-in: Debian"}},
		{"no parts", func(b *Bundle) { b.Report.Parts = nil }, []string{"the report does not say what the run was made with"}},
		{"another e2e.test", func(b *Bundle) { b.Report.Parts[0].Version = "v1.35.4" }, []string{"e2e.test is of v1.35.4, the cluster of v1.36.3"}},
		{"not planned", func(b *Bundle) { b.Report.Specs = b.Report.Specs[:1] }, []string{"required, but were not planned: 1 spec (" + required[1] + ")"}},
		{"no list", func(b *Bundle) { b.Required = nil }, []string{"nobody said which specs are required"}},
		{"skipped", func(b *Bundle) { b.Report.Specs[0].State = report.Skipped }, []string{"skipped: 1 spec (" + required[0] + ")"}},
		{"missing", func(b *Bundle) { b.Report.Specs[0].State = report.Missing }, []string{"missing: they never ran to an end: 1 spec (" + required[0] + ")"}},
		{"failed", func(b *Bundle) { b.Report.Specs[0].State = report.Failed }, []string{"failed: 1 spec (" + required[0] + ")"}},
		{"run again", func(b *Bundle) {
			b.Report.Specs[0].State = report.Flaky
			b.Report.Specs[0].Attempts = make([]report.Attempt, 2)
		}, []string{"passed only when run again: 1 spec (" + required[0] + ")", "run more than once: 1 spec (" + required[0] + ")"}},
		{"cut off", func(b *Bundle) { b.Report.Interrupted, b.Report.Resumed = "signal", 1 }, []string{"the run was interrupted: signal", "the run was cut off and taken up again"}},
		{"two clusters", func(b *Bundle) { b.Report.Clusters = append(b.Report.Clusters, b.Report.Clusters[0]) }, []string{"the run was on 2 clusters: one cluster is certified, by one run"}},
		{"a strange version", func(b *Bundle) { b.Report.Clusters[0].Kubernetes = "master" }, []string{`the cluster's version "master" is none of a release`, "e2e.test is of v1.36.3, the cluster of master"}},
		{"no version", func(b *Bundle) { b.Report.Clusters[0].Kubernetes = "" }, []string{"the report does not say which Kubernetes the cluster is"}},
		{"a bad product", func(b *Bundle) {
			b.Product.Vendor, b.Product.Type, b.Product.RepoURL, b.Product.ContactEmail = " ", "platform", "yoyo.dyne", "nobody"
		}, []string{
			"PRODUCT.yaml has no vendor",
			`PRODUCT.yaml: type "platform": none of ["distribution" "hosted platform" "installer"]`,
			`PRODUCT.yaml: repo_url "yoyo.dyne": parse "yoyo.dyne": invalid URI for request`,
			`PRODUCT.yaml: contact_email_address "nobody": mail: missing '@' or angle-addr`,
		}},
		{"another log", func(b *Bundle) { b.Log = write(t, t.TempDir(), "log", "starting\n") }, []string{"e2e.log tells of the end of 0 runs, not of one"}},
		{"another JUnit", func(b *Bundle) {
			b.JUnit = write(t, t.TempDir(), "junit", junit(properties, map[int]string{0: "<skipped/>"}))
		}, []string{"junit_01.xml: missing, skipped or failed: 1 spec (" + required[0] + ")"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, dir := bundle(t)
			test.change(&b)
			out := filepath.Join(dir, "bundle")
			_, err := b.Write(out)
			refused(t, err, test.want)
			if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
				t.Error("something was written")
			}
		})
	}
}

// refused sees that err holds exactly these reasons.
func refused(t *testing.T, err error, want []string) {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("no refusal: %v", err)
	}
	if diff := cmp.Diff(want, r.Reasons); diff != "" {
		t.Error(diff)
	}
}

func TestWriteErrors(t *testing.T) {
	b, dir := bundle(t)
	write(t, dir, "report.json", "{}")
	if _, err := b.Write(dir); failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), "holds other files (report.json)") {
		t.Errorf("into a full folder: %v", err)
	}
	b.Log = filepath.Join(dir, "gone")
	if _, err := b.Write(filepath.Join(dir, "bundle")); err == nil || !strings.Contains(err.Error(), "writing certification bundle: open "+b.Log) {
		t.Errorf("without a log: %v", err)
	}
	two := (&Refusal{[]string{"a", "b"}}).Error()
	if two != "no certification bundle, for 2 reasons:\n- a\n- b" {
		t.Error(two)
	}
}

func TestCheck(t *testing.T) {
	good := map[string]string{
		ReadmeFile: "# How", LogFile: log, JUnitFile: junit(properties, nil),
		ProductFile: "vendor: a\nname: b\nversion: v1\ntype: installer\ndescription: c\nwebsite_url: https://d\ndocumentation_url: https://e\ncontact_email_address: f@g\n",
	}
	for _, test := range []struct {
		name, file, text string
		want             []string
	}{
		{"good", ReadmeFile, "# Other", nil},
		{"empty", ReadmeFile, "", []string{"README.md is empty"}},
		{"a fifth file", "report.json", "{}", []string{"report.json must not be in a submission"}},
		{"a number", ProductFile, strings.Replace(good[ProductFile], "v1", "1.7", 1), []string{"PRODUCT.yaml: version is no text: put it in quotes"}},
		{"no address", ProductFile, strings.Replace(good[ProductFile], "https://d", "/d", 1), []string{`PRODUCT.yaml: website_url "/d": not the address of a web page`}},
		{"no YAML", ProductFile, "a\nb: c", []string{"PRODUCT.yaml: yaml: line 2: mapping values are not allowed in this context"}},
		{"no XML", JUnitFile, "<testsuites>", []string{"junit_01.xml: XML syntax error on line 1: unexpected EOF"}},
		{"a failure", JUnitFile, junit(properties, map[int]string{1: "<failure/>"}), []string{
			"junit_01.xml: missing, skipped or failed: 1 spec (" + required[1] + ")", "junit_01.xml: failed: 1 spec (" + required[1] + ")",
		}},
		{"skipped by request", JUnitFile, junit(`<property name="SkipStrings" value="Serial"></property>`, nil), []string{`junit_01.xml: the suite ran with SkipStrings "Serial"`}},
		{"flakes", LogFile, strings.Replace(log, "0 Pending", "1 Flaked | 0 Pending", 1), []string{"e2e.log: not all is well: SUCCESS! -- 2 Passed | 0 Failed | 1 Flaked | 0 Pending"}},
		{"two runs", LogFile, log + log, []string{"e2e.log tells of the end of 2 runs, not of one"}},
		{"fewer", LogFile, strings.Replace(log, "2 Passed", "1 Passed", 1), []string{"e2e.log: 1 of 2 required specs passed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range good {
				write(t, dir, name, text)
			}
			write(t, dir, test.file, test.text)
			err := Check(dir, required)
			if test.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, err, test.want)
		})
	}
	if err := Check(t.TempDir(), required); err == nil || !strings.Contains(err.Error(), "README.md: no such file") {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestLoadProductErrors(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"vendor: a\nwebsite: b\n": "line 2: field website not found",
		"vendor: [a]\n":           "cannot unmarshal !!seq into string",
	} {
		_, err := LoadProduct(write(t, dir, "p.yaml", text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	_, err := LoadProduct(filepath.Join(dir, "gone"))
	if hints := failure.Hints(err); len(hints) != 1 || !strings.HasPrefix(hints[0], "it is a PRODUCT.yaml, with vendor, name, version, type,") {
		t.Errorf("%v %q", err, hints)
	}
}

func TestSpecs(t *testing.T) {
	if got := specs([]string{"a", "b", "c", "d", "e", "f"}); got != "6 specs (a; b; c; d; e ...)" {
		t.Error(got)
	}
	for version, want := range map[string]string{"v1.36.3": "v1.36", "v1.36": "v1.36", "v1.36.3-k3s1": "v1.36", "v1.9.1": "", "v1.361": "", "": ""} {
		if got := release(version); got != want {
			t.Errorf("%s: %q", version, got)
		}
	}
}
