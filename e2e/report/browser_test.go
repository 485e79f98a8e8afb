package report

import (
	"bytes"
	"context"
	"encoding/json"
	htmlpkg "html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// browsers are programs that open a page without a screen.
var browsers = []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"}

func browser(t *testing.T) string {
	t.Helper()
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no browser among " + strings.Join(browsers, ", ") + ": \"make tools\" installs one")
	return ""
}

var finding = regexp.MustCompile(`(?s)<pre id="finding">(.*?)</pre>`)

// open shows a page in a browser, from disk, with a script that uses it as a
// person does. It gives what the script found out, as JSON. All that the page
// asks of a network goes to a proxy, and fails the test.
func open(t *testing.T, page, script string, found any) {
	t.Helper()
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.RequestURI)
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer proxy.Close()
	dir := t.TempDir()
	driver, err := os.ReadFile("testdata/driver.js")
	must(t, driver, err)
	page = strings.Replace(page, "<body>", "<body><script>"+string(driver)+"</script>", 1)
	page = strings.Replace(page, "</body>", "<script>report(async () => {"+script+"})</script></body>", 1)
	file := filepath.Join(dir, "a page.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args := []string{
		"--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-dev-shm-usage", "--user-data-dir=" + filepath.Join(dir, "profile"),
		"--proxy-server=" + proxy.URL, "--proxy-bypass-list=<-loopback>",
		"--virtual-time-budget=10000", "--window-size=1280,1000", "--dump-dom", "file://" + file,
	}
	if os.Geteuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...)
	}
	cmd := exec.CommandContext(ctx, browser(t), args...)
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	m := finding.FindSubmatch(dom)
	if m == nil {
		t.Fatalf("the script did not end\n%s", stderr.String())
	}
	if err := json.Unmarshal([]byte(htmlpkg.UnescapeString(string(m[1]))), found); err != nil {
		t.Fatalf("%v: %s", err, m[1])
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) > 0 {
		t.Errorf("the page asked the network: %q", asked)
	}
}

func TestBrowserReport(t *testing.T) {
	browser(t)
	type result struct {
		Problems, Resources, Empty                         []string
		Images, Scripts, All                               int
		First, Order, Sections, Found, Nothing, Cleared    []string
		Longest, Shortest, Names, Sorted, Chips, Both, Hit []string
		Focus, Count, Output, Theme                        string
	}
	var got result
	open(t, html(t, sample(), sampleEvidence()), `
		const found = {problems, resources: performance.getEntriesByType("resource").map((r) => r.name)};
		found.images = document.images.length;
		found.scripts = document.scripts.length;
		found.sections = all("section").map((s) => s.id);
		found.first = rows().slice(0, 2);
		found.output = text("details pre").split("\n")[0];

		key("/");
		found.focus = document.activeElement.id;
		type("DNS RESOLVE");
		found.found = rows();
		found.count = text(".bar output");
		type("[sig-network] Service should balance [Conformance]");
		found.hit = rows();
		type("no such spec");
		found.nothing = rows();
		found.empty = all(".none").filter(visible).map((p) => p.textContent);
		key("Escape");
		found.cleared = [String(rows().length), document.querySelector("#search").value];

		click('th:nth-child(4) button');
		found.longest = rows().slice(0, 2);
		click('th:nth-child(4) button');
		found.shortest = rows().slice(-2);
		click('th:nth-child(3) button');
		found.names = rows().slice(0, 3);
		found.sorted = all("th[aria-sort]").map((th) => th.textContent + " " + th.getAttribute("aria-sort"));

		click('.chip[data-state="missing"]');
		found.chips = rows();
		click('.chip[data-state="flaky"]');
		type("tokens");
		found.both = rows();

		const target = all("tr").find((tr) => tr.dataset.state === "skipped");
		location.hash = target.id;
		await new Promise((done) => setTimeout(done, 200));
		found.order = [String(visible(target)), String(rows().length)];

		const before = getComputedStyle(document.body).backgroundColor;
		click(".theme"); click(".theme");
		found.theme = document.documentElement.dataset.theme + " " + (before !== getComputedStyle(document.body).backgroundColor);
		return found;`, &got)
	dns, tokens := "DNS should resolve <names> & more", "Tokens should be bound"
	want := result{
		Problems: []string{}, Resources: []string{}, Empty: []string{"No spec is like that."},
		Scripts: 3, First: []string{dns, tokens}, Order: []string{"true", "7"},
		Sections: []string{"failures", "timeline", "specs", "made-with"},
		Found:    []string{dns}, Hit: []string{"Service should balance"}, Nothing: []string{}, Cleared: []string{"7", ""},
		Longest: []string{"Volumes should be slow Slow", dns}, Shortest: []string{dns, "Volumes should be slow Slow"},
		Names: []string{dns, "Job should wait", "Kubectl should print"}, Sorted: []string{"Name ascending"},
		Chips: []string{"Job should wait", "Pods should be gone"}, Both: []string{tokens},
		Focus: "search", Count: "1 of 7", Output: "STEP: <img src=http://example.invalid/x.png onerror=alert(2)>", Theme: "dark true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestBrowserIsQuick sees that a big report opens, and that searching and
// sorting it is not felt.
func TestBrowserIsQuick(t *testing.T) {
	browser(t)
	var got struct{ Rows, Search, Sort float64 }
	open(t, html(t, many(1000, 5, 64<<10), nil), `
		const took = (what) => { const at = performance.now(); what(); document.body.offsetHeight; return performance.now() - at; };
		return {rows: rows().length, search: took(() => type("group 7 0007")), sort: took(() => click('th:nth-child(4) button'))};`, &got)
	t.Logf("1000 specs: search %.0f ms, sort %.0f ms", got.Search, got.Sort)
	// A tenth of that is usual; a machine may be busy.
	if got.Rows != 1000 || got.Search > 3000 || got.Sort > 3000 {
		t.Errorf("%+v", got)
	}
}

func TestBrowserCompare(t *testing.T) {
	browser(t)
	c, err := Compare(compared()...)
	var b bytes.Buffer
	if err := must(t, c, err).WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	var got struct{ Problems, First, Time, Longest []string }
	open(t, b.String(), `
		const found = {problems, first: rows().slice(0, 2)};
		click('.chip[data-state="time"]');
		found.time = rows();
		click('.chip[data-state="time"]');
		click('th:nth-child(5) button');
		found.longest = rows().slice(0, 2);
		return found;`, &got)
	if len(got.Problems) > 0 || got.First[0] != "b breaks" || strings.Join(got.Time, "|") != "d much slower|c slower" || strings.Join(got.Longest, "|") != "b breaks|d much slower" {
		t.Errorf("%+v", got)
	}
}
