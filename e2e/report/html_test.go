package report

import (
	"bytes"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func html(t *testing.T, r *Report, evidence fs.FS) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteHTML(&b, evidence); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHTML(t *testing.T) {
	page := html(t, sample(), sampleEvidence())
	for _, want := range []string{
		"<title>conformance: 2 of 7 specs passed, 1 failed, 1 flaky, 2 missing, 1 skipped</title>",
		"The run ended early: interrupted by a signal.",
		"3 conformance specs were skipped or missing",
		"<code>registry.k8s.io/e2e-test-images/agnhost:2.63.0</code> Debian instead of Alpine",
		"node demo-worker was NotReady for 20s",
		`<a href="evidence/dns%201/kubelet%20worker.log">kubelet worker.log</a> <span class="dim">300 KiB</span>`,
		`<a href="evidence/dns%201/core.bin">core.bin</a>`,
		`<a href="evidence/dns%201/pods/a:b.log">open</a>`,
		"Warning  FailedScheduling",
		"attempt 2 of 2",
		"it began, but never ended",
		"planned, but it never ran",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	again, events := strings.Index(page, "again.sh"), strings.Index(page, "events.txt")
	if again < 0 || again > events {
		t.Error("the command that runs the spec again is not the first of its evidence")
	}
	failed, passed := strings.Index(page, `<tr id="spec-3"`), strings.Index(page, `<tr id="spec-2" class="s-passed"`)
	if failed < 0 || passed < failed {
		t.Error("failures are not first")
	}
	if html(t, sample(), sampleEvidence()) != page {
		t.Error("two pages of one report differ")
	}
}

var outside = regexp.MustCompile(`(?i)(src|srcset|action|data|poster)\s*=|@import|url\(|href="(https?:|//|file:|/)`)

// TestHTMLIsAlone sees that the page asks for nothing beside it.
func TestHTMLIsAlone(t *testing.T) {
	page := html(t, many(20, 2, 10), nil)
	if found := outside.FindString(page); found != "" {
		t.Errorf("the page holds %s", found)
	}
	if !strings.Contains(page, `content="default-src 'none'; `) {
		t.Error("the page does not forbid itself the network")
	}
}

// TestHTMLIsSmall sees that no run makes a page that a browser chokes on.
func TestHTMLIsSmall(t *testing.T) {
	page := html(t, many(1000, 1, 64<<10), nil)
	if len(page) > pageBudget+4<<20 {
		t.Errorf("%s for a run of 64 MiB", size(int64(len(page))))
	}
	if !strings.Contains(page, "left out, the page would be too large: see report.json") {
		t.Error("the page does not say what it leaves out")
	}
}

func TestEvidence(t *testing.T) {
	crowd := fstest.MapFS{}
	for i := range evidenceFiles + 5 {
		crowd["e/"+strings.Repeat("x", i+1)] = &fstest.MapFile{Data: []byte("1")}
	}
	for _, test := range []struct {
		name, folder string
		root         fs.FS
		problem      string
		link         string
		files, more  int
	}{
		{"outside", "../other", crowd, "not below the report's own folder", "", 0, 0},
		{"absolute", "/etc", crowd, "not below the report's own folder", "", 0, 0},
		{"gone", "gone", crowd, "could not be read", "gone/", 0, 0},
		{"a script's address", "javascript:alert(1)", nil, "", "./javascript:alert%281%29/", 0, 0},
		{"many", "e/", crowd, "", "e/", evidenceFiles, 5},
		{"not asked for", "e", nil, "", "e/", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			budget := int64(50)
			e := readEvidence(test.root, test.folder, &budget)
			if !strings.HasPrefix(e.Problem, test.problem) || (e.Problem != "") != (test.problem != "") {
				t.Errorf("problem %q, not %q", e.Problem, test.problem)
			}
			if e.Link != test.link && strings.ReplaceAll(e.Link, "(1)", "%281%29") != test.link {
				t.Errorf("link %q, not %q", e.Link, test.link)
			}
			if len(e.Files) != test.files || e.More != test.more {
				t.Errorf("%d files and %d more, not %d and %d", len(e.Files), e.More, test.files, test.more)
			}
			if test.files > 0 && (!e.Files[49].Inline || e.Files[50].Inline) {
				t.Error("the budget of 50 bytes was not kept")
			}
		})
	}
	if readEvidence(crowd, "", new(int64)) != nil {
		t.Error("evidence of nothing")
	}
}

func TestTimelines(t *testing.T) {
	r := many(100, 10, 1)
	r.Clusters = append(r.Clusters, Cluster{Name: "idle"})
	r.Specs[7].Attempts[0].Cluster = "other"
	all := timelines(r)
	if len(all) != 2 || all[0].Cluster != "demo" || all[1].Cluster != "other" {
		t.Fatalf("timelines of %+v", r.clusterNames())
	}
	if len(all[0].Lanes) != 8 || len(all[0].Bars) != 99 || len(all[1].Lanes) != 1 || len(all[1].Bars) != 1 {
		t.Errorf("%d lanes, %d bars", len(all[0].Lanes), len(all[0].Bars))
	}
	for _, b := range all[0].Bars {
		if b.X < 0 || b.Width <= 0 || b.X+b.Width > 100.1 || b.Y < axisHeight || b.Y >= all[0].Height {
			t.Errorf("bar %+v is outside", b)
		}
	}
	if got := timelines(&Report{Started: noon, Ended: noon}); got != nil {
		t.Errorf("a timeline of nothing: %+v", got)
	}
}

func TestTicks(t *testing.T) {
	for _, test := range []struct {
		length time.Duration
		count  int
		second string
	}{
		{3 * time.Second, 3, "1s"},
		{95 * time.Second, 10, "10s"},
		{15 * time.Minute, 8, "2m"},
		{100 * time.Minute, 10, "10m"},
		{14 * time.Hour, 7, "2h"},
		{100 * 24 * time.Hour, 17, "144h"},
	} {
		got := ticks(test.length)
		if len(got) != test.count || got[1].Text != test.second || got[0].Text != "0" {
			t.Errorf("%s: %d ticks, %+v", test.length, len(got), got[1])
		}
	}
	if got := tickText(90 * time.Second); got != "1m30s" {
		t.Error(got)
	}
}

func TestWords(t *testing.T) {
	r := many(2, 0, 0)
	r.Specs[0].Name = "[sig-cli] Kubectl [Feature:X] prints a[0] and [] [Conformance]"
	r.Specs[1].Name = "[sig-node] Pods run [Conformance]"
	var got []string
	for _, w := range words(r.Specs[0].Name, commonTags(r.Specs)) {
		if w.Tag {
			w.Text = "<" + w.Text + ">"
		}
		got = append(got, w.Text)
	}
	if want := "Kubectl|<Feature:X>|prints a|<0>|and []"; strings.Join(got, "|") != want {
		t.Errorf("%q, not %s", got, want)
	}
}
