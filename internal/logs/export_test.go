package logs

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/inventory"
	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
)

// What must be seen nowhere.
var planted = []string{
	"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl", "MIIEowIBAAKCAQEAplanted", "hunter2planted",
	"abcdef.0123456789planted", "cGxhbnRlZC1zZWNyZXQ=", "planted-variable", "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLXBsYW50ZWQ=",
}

// secrets is a text with most of them.
var secrets = fmt.Sprintf("token: %s\n-----BEGIN RSA PRIVATE KEY-----\n%s\n-----END RSA PRIVATE KEY-----\nproxy http://me:%s@proxy:3128\nclient-key-data: %s\n",
	planted[0], planted[1], planted[2], planted[6])

// lab is a cluster of a control plane "a", a worker "b" and a load balancer "lb".
type lab struct {
	*providertest.Provider

	machines []Machine
	api      http.Handler // nil if there is none
	dir      string
}

// said is what commands print, by NODE: and words of theirs; the longest counts.
type said map[string]string

// newLab has nodes in which commands print what is said.
func newLab(t *testing.T, say said) *lab {
	t.Helper()
	p := providertest.New()
	p.Handle = func(_ context.Context, n provider.Node, cmd provider.Command) int {
		line := strings.Join(cmd.Args, " ")
		best := ""
		for words := range say {
			if rest, ok := strings.CutPrefix(words, n.Name+": "); ok && strings.Contains(line, rest) && len(words) > len(best) {
				best = words
			}
		}
		if best != "" {
			_, _ = io.WriteString(cmd.Stdout, say[best])
			return 0
		}
		if n.Name == "lb" {
			t.Errorf("the load balancer was asked for %q", line)
		}
		return 0
	}
	p.Boot = func(n provider.Node) string { return n.Name + " is prepared\n" + secrets }
	img, err := providertest.Image([]byte("node"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.LoadImage(t.Context(), "i:1", img, nil); err != nil {
		t.Fatal(err)
	}
	l := &lab{Provider: p, dir: filepath.Join(t.TempDir(), "bundle")}
	runtime, err := cri.Get("containerd")
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]string{"a": "control-plane", "b": "worker", "lb": "load-balancer"} {
		n, err := p.CreateNode(t.Context(), provider.NodeSpec{Name: name, Image: "i:1"})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.StartNode(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
		n.State = provider.StateRunning
		m := Machine{Node: n, Role: role, Runtime: &runtime}
		if name == "lb" {
			m.Runtime, m.Config = nil, []string{"/etc/haproxy/haproxy.cfg"}
		}
		l.machines = append(l.machines, m)
	}
	slices.SortFunc(l.machines, func(a, b Machine) int { return strings.Compare(a.Name, b.Name) })
	return l
}

// write puts a file into a node.
func (l *lab) write(t *testing.T, node, name, text string) {
	t.Helper()
	for _, m := range l.machines {
		if m.Name == node {
			if err := l.WriteFile(m.ID, name, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (l *lab) stop(t *testing.T, node string) {
	t.Helper()
	for i, m := range l.machines {
		if m.Name == node {
			if err := l.KillNode(t.Context(), m.ID, "KILL"); err != nil {
				t.Fatal(err)
			}
			l.machines[i].State, l.machines[i].ExitCode = provider.StateStopped, 137
		}
	}
}

func (l *lab) options(t *testing.T) Options {
	t.Helper()
	o := Options{Cluster: "c", Provider: l, Machines: l.machines, Dir: l.dir}
	if l.api == nil {
		o.APIError = errors.New("connection refused")
		return o
	}
	server := httptest.NewServer(l.api)
	t.Cleanup(server.Close)
	api, err := inventory.New(&rest.Config{Host: server.URL, WarningHandler: rest.NoWarnings{}})
	if err != nil {
		t.Fatal(err)
	}
	o.API = api
	return o
}

// export gives the summary and the files.
func (l *lab) export(t *testing.T, change ...func(*Options)) (*Summary, map[string]string) {
	t.Helper()
	o := l.options(t)
	for _, f := range change {
		f(&o)
	}
	s, err := Export(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s, files(t, l.dir)
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			t.Errorf("%s is no plain file", name)
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		found[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// texts are the causes, each in a line.
func texts(s *Summary) []string {
	var all []string
	for _, c := range s.Causes {
		all = append(all, string(c.Kind)+" "+c.Said())
	}
	return all
}

// podTar is what the pods' script prints.
func podTar(t *testing.T, entries ...providertest.File) string {
	t.Helper()
	data, err := providertest.Tar(entries...)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func plain(name, text string) providertest.File {
	return providertest.File{Header: tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg}, Data: []byte(text)}
}

func link(kind byte, name, target string) providertest.File {
	return providertest.File{Header: tar.Header{Name: name, Linkname: target, Typeflag: kind}}
}

const crashLog = "./x_p_uid/c/2.log"

// A cluster without trouble has all its files, and no cause.
func TestExport(t *testing.T) {
	l := newLab(t, said{
		"a: systemctl show":       "Id=kubelet.service\nLoadState=loaded\nActiveState=active\nNRestarts=0\n",
		"a: --unit=kubelet":       "Jan 01 kubelet says: " + secrets,
		"a: --unit=containerd":    "the runtime says\n",
		"a: journalctl":           "all say\n" + secrets,
		"a: audit.log":            `{"kind":"Event","level":"Metadata"}` + "\n" + secrets,
		"a: cd /var/log/pods":     podTar(t, plain(crashLog, "2026-01-02T03:04:05Z stdout F hello\n"+secrets)),
		"a: containerd.sock ps -": "CONTAINER IMAGE\n",
	})
	l.api = cluster()
	l.write(t, "a", "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n")
	l.write(t, "a", "/etc/kubernetes/kubelet.conf", secrets)
	l.write(t, "a", "/etc/kubernetes/manifests/etcd.yaml", "env:\n- name: API_TOKEN\n  value: planted-variable\n")
	l.write(t, "a", "/etc/kubernetes/pki/ca.key", planted[1])
	l.write(t, "lb", "/etc/haproxy/haproxy.cfg", "listen api\n")
	s, got := l.export(t)
	for name, want := range map[string]string{
		"nodes/a/console.log": "a is prepared", "nodes/a/kubelet.log": "kubelet says", "nodes/a/runtime.log": "the runtime says",
		"nodes/a/audit.log":   `"level":"Metadata"`,
		"nodes/a/journal.log": "all say", "nodes/a/pods/x_p_uid/c/2.log": "stdout F hello", "nodes/a/engine.json": `"State": "running"`,
		"nodes/a/config/var/lib/kubelet/config.yaml":        "KubeletConfiguration",
		"nodes/a/config/etc/kubernetes/kubelet.conf":        "client-key-data: (",
		"nodes/a/config/etc/kubernetes/manifests/etcd.yaml": `value: (redacted)`,
		"nodes/lb/console.log":                              "lb is prepared", "nodes/lb/config/etc/haproxy/haproxy.cfg": "listen api",
		"api/nodes.txt": "Ready", "api/secrets.yaml": "(redacted, 14 bytes)", "api/pods.yaml": "name: p", "api/events.txt": "BackOff",
		"summary.txt": "no likely cause was found", "index.html": "None was found",
	} {
		if !strings.Contains(got[name], want) {
			t.Errorf("%s lacks %q: %q", name, want, got[name])
		}
	}
	seeNothing(t, got)
	if len(s.Causes) > 0 || len(s.Missing) > 0 || !s.Complete || !s.API {
		t.Errorf("causes %q, missing %q", texts(s), s.Missing)
	}
	var read Summary
	if err := json.Unmarshal([]byte(got["summary.json"]), &read); err != nil || len(read.Nodes) != 3 || read.Nodes[0].Runtime != "containerd" || read.Causes == nil {
		t.Errorf("summary.json: %v\n%s", err, got["summary.json"])
	}
	if info, err := os.Stat(filepath.Join(l.dir, "nodes", "a", "kubelet.log")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// seeNothing looks for what was planted.
func seeNothing(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		for _, secret := range planted {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %q", name, secret)
			}
		}
	}
}

// answers are those of an API, by path.
type answers map[string]string

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, ok := a[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}

// cluster is an API that holds a pod and a Secret.
func cluster() answers {
	kinds := func(names ...string) string {
		var list []string
		for _, n := range names {
			list = append(list, fmt.Sprintf(`{"resource":%q,"scope":"Namespaced","verbs":["get","list"]}`, n))
		}
		return `{"items":[{"metadata":{"name":""},"versions":[{"version":"v1","resources":[` + strings.Join(list, ",") + `]}]}]}`
	}
	return answers{
		"/api": kinds("pods", "secrets", "events"), "/apis": `{"items":[]}`,
		"/api/v1/nodes":  `{"items":[{"metadata":{"name":"a"},"status":{"conditions":[{"type":"Ready","status":"True"}]}}]}`,
		"/api/v1/pods":   `{"kind":"PodList","apiVersion":"v1","items":[{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","namespace":"x"},"spec":{"containers":[{"name":"c","env":[{"name":"DB_PASSWORD","value":"planted-variable"}]}]}}]}`,
		"/api/v1/events": `{"items":[{"metadata":{"name":"a"},"reason":"BackOff","message":"token=abcdef.0123456789planted"}]}`,
		"/api/v1/secrets": `{"kind":"SecretList","apiVersion":"v1","items":[{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s"},
			"data":{"k":"cGxhbnRlZC1zZWNyZXQ="}}]}`,
	}
}

// Without an API, with a node that is stopped and with commands that fail the rest is
// taken, and all of that is named.
func TestWhatIsAwayIsNamed(t *testing.T) {
	l := newLab(t, said{"a: systemctl show": "Id=kubelet.service\nActiveState=inactive\nSubState=dead\n", "a: --unit=kubelet": "kubelet says\n"})
	handle := l.Handle
	l.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
		if cmd.Args[0] == "crictl" {
			fmt.Fprint(cmd.Stderr, "no such socket")
			return 1
		}
		return handle(ctx, n, cmd)
	}
	l.write(t, "b", "/var/log/pods/x_p_uid/c/0.log", "2026-01-02T03:04:05Z stdout F last words\n")
	l.write(t, "b", "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n")
	l.stop(t, "b")
	s, got := l.export(t)
	want := []string{
		"node-stopped b is stopped: its first process ended with code 137", "unit a: unit kubelet.service is inactive (dead)",
		"api the API does not answer: connection refused",
	}
	if !slices.Equal(texts(s), want) {
		t.Errorf("causes %q", texts(s))
	}
	for _, name := range []string{
		"nodes/a/kubelet.log", "nodes/b/console.log", "nodes/b/pods/x_p_uid/c/0.log", "nodes/b/config/var/lib/kubelet/config.yaml",
	} {
		if got[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	for _, missing := range []string{"nodes/a/containers.json: it ended with code 1: no such socket", "objects of the API: connection refused"} {
		if !slices.Contains(s.Missing, missing) || !strings.Contains(got["summary.txt"], missing) {
			t.Errorf("%q is not in %q", missing, s.Missing)
		}
	}
}

// A container that goes after it was listed is no gap in what is exported.
func TestContainerGoesMeanwhile(t *testing.T) {
	l := newLab(t, said{"a: ps --all --quiet": "c1\n", "a: inspect": inspect("c", 1, exited, "Error", 3)})
	handle, asked := l.Handle, new(atomic.Int32)
	l.Handle = func(ctx context.Context, n provider.Node, cmd provider.Command) int {
		if cmd.Args[0] == "crictl" && slices.Contains(cmd.Args, "inspect") && asked.Add(1) == 1 {
			fmt.Fprint(cmd.Stderr, "code = NotFound")
			return 1
		}
		return handle(ctx, n, cmd)
	}
	s, got := l.export(t)
	name := "nodes/a/containers.json"
	if slices.ContainsFunc(s.Missing, func(m string) bool { return strings.HasPrefix(m, name) }) || !strings.Contains(got[name], "CONTAINER_EXITED") {
		t.Errorf("missing %q; %s", s.Missing, got[name])
	}
}

// What a node gives is written below its folder, or not at all.
func TestHostileTar(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	l := newLab(t, said{"a: cd /var/log/pods": podTar(t,
		link(tar.TypeSymlink, "x_p_uid/c/0.log", outside), plain("x_p_uid/c/0.log", "through a link\n"),
		link(tar.TypeSymlink, "up", "../../../.."), plain("up/evil.log", "through a folder\n"),
		link(tar.TypeLink, "x_p_uid/c/1.log", "/etc/passwd"),
		plain("../../../../evil.log", "up"), plain(outside+".log", "absolute"),
		providertest.File{Header: tar.Header{Name: "x_p_uid/c/7.log", Typeflag: tar.TypeChar, Devmajor: 1}},
		plain("x_p_uid/c/3.log", "good\n"), plain("x_p_uid/c/4.log.gz", "packed"), plain("x_p_uid/c/key.pem", "no log"),
	)})
	s, got := l.export(t)
	if entries, err := os.ReadDir(filepath.Dir(outside)); err != nil || len(entries) > 0 {
		t.Errorf("outside: %v, %v", entries, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(l.dir)); err != nil || len(entries) != 1 {
		t.Errorf("beside the bundle: %v, %v", entries, err)
	}
	var pods []string
	for name := range got {
		if rest, ok := strings.CutPrefix(name, "nodes/a/pods/"); ok {
			pods = append(pods, rest)
		}
	}
	slices.Sort(pods)
	if want := []string{"up/evil.log", "x_p_uid/c/0.log", "x_p_uid/c/3.log"}; !slices.Equal(pods, want) {
		t.Errorf("files %q", pods)
	}
	if n := strings.Count(strings.Join(s.Missing, "\n"), "is no plain file below its folder"); n != 6 {
		t.Errorf("%d are named as left out: %q", n, s.Missing)
	}
}

// A tar that breaks off gives what came before.
func TestBrokenTar(t *testing.T) {
	whole := podTar(t, plain("x_p_uid/c/0.log", "good\n"), plain("x_p_uid/c/1.log", strings.Repeat("line\n", 1000)))
	l := newLab(t, said{"a: cd /var/log/pods": whole[:2000], "b: cd /var/log/pods": "this is no tar"})
	s, got := l.export(t)
	if got["nodes/a/pods/x_p_uid/c/0.log"] != "good\n" || !strings.HasPrefix(got["nodes/a/pods/x_p_uid/c/1.log"], "line\n") {
		t.Errorf("%q", got["nodes/a/pods/x_p_uid/c/0.log"])
	}
	if !strings.Contains(strings.Join(s.Missing, "\n"), "nodes/a/pods/x_p_uid/c/1.log: unexpected EOF") {
		t.Errorf("%q", s.Missing)
	}
}

// A node has room for so much, and the summary says what was left out.
func TestSizeCap(t *testing.T) {
	long := strings.Repeat("a line of the kubelet\n", 2000)
	l := newLab(t, said{
		"a: --unit=kubelet":   long,
		"a: cd /var/log/pods": podTar(t, plain("x_p_uid/c/0.log", long), plain("x_p_uid/d/0.log", long)),
	})
	s, got := l.export(t, func(o *Options) { o.MostOfNode = 30_000 })
	sum := 0
	for name, text := range got {
		if strings.HasPrefix(name, "nodes/a/") {
			sum += len(text)
		}
	}
	if sum > 30_000 || sum != s.Nodes[0].Bytes || s.Nodes[0].Cut != 1 {
		t.Errorf("%d bytes, %+v", sum, s.Nodes[0])
	}
	if !strings.HasPrefix(got["nodes/a/kubelet.log"], "(what came before is left out)\n") {
		t.Errorf("%.60q", got["nodes/a/kubelet.log"])
	}
	if text := got["summary.txt"]; !strings.Contains(text, "not whole, for they are long:\n  nodes/a/kubelet.log\n") || !strings.Contains(text, "no room for 2 more files, as nodes/a/pods/") {
		t.Errorf("summary.txt:\n%s", text)
	}
}

func TestSince(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cri := "2026-01-02T03:04:04Z stdout F old\n2026-01-02T03:04:05Z stdout F new\nof many lines\n"
	docker := `{"log":"old\n","time":"2026-01-02T03:04:04Z"}` + "\n" + `{"log":"new\n","time":"2026-01-02T03:04:06Z"}` + "\n"
	l := newLab(t, said{
		"a: cd /var/log/pods": podTar(t, plain("x_p_uid/c/0.log", cri), plain("x_p_uid/d/0.log", docker)),
		fmt.Sprintf("a: --since=@%d --unit=kubelet", at.Unix()): "asked since\n",
	})
	s, got := l.export(t, func(o *Options) { o.Since = at })
	if got["nodes/a/pods/x_p_uid/c/0.log"] != cri[strings.Index(cri, "2026-01-02T03:04:05"):] {
		t.Errorf("%q", got["nodes/a/pods/x_p_uid/c/0.log"])
	}
	if got["nodes/a/pods/x_p_uid/d/0.log"] != docker[strings.Index(docker, "\n")+1:] {
		t.Errorf("%q", got["nodes/a/pods/x_p_uid/d/0.log"])
	}
	if got["nodes/a/kubelet.log"] != "asked since\n" || s.Since == nil || !s.Since.Equal(at) {
		t.Errorf("%q, %v", got["nodes/a/kubelet.log"], s.Since)
	}
}

func TestFolderThatIsNotEmpty(t *testing.T) {
	l := newLab(t, said{})
	if err := os.MkdirAll(filepath.Join(l.dir, "mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Export(t.Context(), l.options(t))
	if failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("err = %v", err)
	}
	if got := files(t, l.dir); len(got) > 0 {
		t.Errorf("files %v", got)
	}
}

// An interruption leaves a summary that says so.
func TestInterrupted(t *testing.T) {
	l := newLab(t, said{})
	ctx, cancel := context.WithCancelCause(t.Context())
	l.Handle = func(ctx context.Context, _ provider.Node, _ provider.Command) int {
		cancel(failure.ErrInterrupted)
		<-ctx.Done()
		return 1
	}
	s, err := Export(ctx, l.options(t))
	if !errors.Is(err, failure.ErrInterrupted) || s == nil || s.Complete {
		t.Errorf("%+v, %v", s, err)
	}
	if text := files(t, l.dir)["summary.txt"]; !strings.Contains(text, "interrupted: not all was taken") || !strings.Contains(text, "  nodes/a/kubelet.log: interrupted\n") {
		t.Errorf("summary.txt:\n%s", text)
	}
}

func TestPack(t *testing.T) {
	l := newLab(t, said{"a: --unit=kubelet": "kubelet says\n"})
	_, want := l.export(t)
	var packed bytes.Buffer
	if err := Pack(&packed, l.dir, "name"); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for r := tar.NewReader(&packed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			got[strings.TrimPrefix(h.Name, "name/")] = string(data)
		}
	}
	if len(got) != len(want) || got["nodes/a/kubelet.log"] != "kubelet says\n" {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
}
