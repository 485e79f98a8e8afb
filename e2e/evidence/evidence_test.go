package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/e2e/event"
)

// fakeAPI answers GETs of paths with JSON, or with text where that is no object.
type fakeAPI map[string]string

func (a fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.URL.Path
	if r.URL.Query().Get("previous") == "true" {
		key += "?previous"
	}
	if since := r.URL.Query().Get("sinceTime"); since != "" {
		key += "?since=" + since
	}
	answer, ok := a[key]
	switch {
	case !ok:
		http.NotFound(w, r)
	case strings.HasPrefix(answer, "{"):
		w.Header().Set("Content-Type", "application/json")
	}
	_, _ = io.WriteString(w, answer)
}

// discovery is the answer of a group with some kinds.
func discovery(group string, resources ...string) string {
	var list []string
	for _, r := range resources {
		list = append(list, fmt.Sprintf(`{"resource":%q,"scope":"Namespaced","verbs":["get","list"]}`, r))
	}
	list = append(list, `{"resource":"nodes","scope":"Cluster","verbs":["list"]}`, `{"resource":"bindings","scope":"Namespaced","verbs":["create"]}`)
	return fmt.Sprintf(`{"metadata":{"name":%q},"versions":[{"version":"v1","resources":[%s]},{"version":"v1beta1","resources":[%s]}]}`,
		group, strings.Join(list, ","), strings.Join(list, ","))
}

const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"

// broken is a cluster in which a pod does not come up.
func broken() fakeAPI {
	return fakeAPI{
		"/api":  `{"items":[` + discovery("", "pods", "secrets", "events", "services", "gone") + `]}`,
		"/apis": `{"items":[` + discovery("apps", "deployments") + "," + discovery("example.com", "things") + `]}`,
		"/api/v1/namespaces": `{"items":[
			{"metadata":{"name":"pods-1","labels":{"e2e-run":"run"},"creationTimestamp":"2026-01-02T03:04:06Z"}},
			{"metadata":{"name":"earlier","creationTimestamp":"2026-01-02T03:03:00Z","deletionTimestamp":"2026-01-02T03:04:00Z"}}]}`,
		"/api/v1/nodes": `{"items":[{"metadata":{"name":"n"},"spec":{"unschedulable":true,"taints":[{"key":"k","effect":"NoSchedule"}]},"status":{
			"nodeInfo":{"kubeletVersion":"v1.36.3","containerRuntimeVersion":"containerd://2"},"allocatable":{"cpu":"2","memory":"4Gi","pods":"110"},
			"conditions":[{"type":"Ready","status":"False","reason":"KubeletNotReady","message":"PLEG is not healthy","lastTransitionTime":"2026-01-02T03:04:07Z"}]}}]}`,
		"/api/v1/namespaces/default/events": `{"items":[
			{"metadata":{"name":"a"},"type":"Normal","reason":"NodeNotReady","message":"Node n is\nnot ready","lastTimestamp":"2026-01-02T03:04:07Z","involvedObject":{"kind":"Node","name":"n"}},
			{"metadata":{"name":"b"},"type":"Normal","reason":"Starting","message":"old","lastTimestamp":"2026-01-02T03:00:00Z","involvedObject":{"kind":"Node","name":"n"}}]}`,
		"/api/v1/namespaces/pods-1/events": `{"items":[
			{"metadata":{"name":"b"},"type":"Warning","reason":"BackOff","message":"token: abcdefgh.1234","eventTime":"2026-01-02T03:04:09.500000Z","series":{"count":3,"lastObservedTime":"2026-01-02T03:04:10.250000Z"},"involvedObject":{"kind":"Pod","name":"p"}},
			{"metadata":{"name":"a"},"type":"Normal","reason":"Scheduled","message":"to n","eventTime":"2026-01-02T03:04:08.000000Z","involvedObject":{"kind":"Pod","name":"p"}}]}`,
		"/api/v1/namespaces/pods-1/pods": `{"kind":"PodList","apiVersion":"v1","items":[
			{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","managedFields":[{"manager":"x"}]},"status":{
				"initContainerStatuses":[{"name":"i","containerID":"1"}],"containerStatuses":[{"name":"c","containerID":"2","restartCount":1},{"name":"waits"}]}}]}`,
		"/api/v1/namespaces/kube-system/pods":                                    `{"items":[{"metadata":{"name":"dns"},"status":{"containerStatuses":[{"name":"c","containerID":"1"}]}}]}`,
		"/api/v1/namespaces/kube-system/pods/dns/log?since=2026-01-02T03:04:05Z": "2026 dns\n",
		"/api/v1/namespaces/pods-1/pods/p/log":                                   "2026 hello " + jwt + "\n",
		"/api/v1/namespaces/pods-1/pods/p/log?previous":                          "2026 panic\n",
		"/api/v1/namespaces/pods-1/secrets":                                      `{"kind":"SecretList","apiVersion":"v1","items":[{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s","annotations":{"a":"b","kubectl.kubernetes.io/last-applied-configuration":"c2VjcmV0"}},"data":{"k":"c2VjcmV0"}}]}`,
		"/api/v1/namespaces/pods-1/services":                                     `{"kind":"ServiceList","apiVersion":"v1","items":[]}`,
		"/apis/apps/v1/namespaces/pods-1/deployments":                            `{"kind":"DeploymentList","apiVersion":"apps/v1","metadata":{"remainingItemCount":7},"items":[{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"d"}}]}`,
		"/apis/example.com/v1/namespaces/pods-1/things":                          `{"kind":"ThingList","apiVersion":"example.com/v1","items":[{"kind":"Thing","apiVersion":"example.com/v1","metadata":{"name":"t"}}]}`,
		"/apis/example.com/v1beta1/namespaces/pods-1/xs":                         `{}`,
	}
}

var (
	began  = time.Date(2026, 1, 2, 3, 4, 5, 600e6, time.UTC)
	failed = event.Event{
		Time: began.Add(7 * time.Second), Kind: event.Failing, Proc: 2, RunID: "run", Location: "pods.go:12",
		Spec: "[sig-node] Pods should 'run' [Conformance]", Message: "timed out\n",
	}
)

// collector is one of a fake API, with a report's folder of its own.
func collector(t *testing.T, api http.Handler, change ...func(*Options)) *Collector {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	o := Options{
		Config: &rest.Config{Host: server.URL}, Dir: t.TempDir(), Nodes: []string{"n"}, Units: []string{"kubelet", "containerd"},
		Exec: func(_ context.Context, node string, argv []string, stdout io.Writer) error {
			_, err := fmt.Fprintf(stdout, "%s: %s\n", node, strings.Join(argv, " "))
			return err
		},
		Again: func(spec string) []string { return []string{"echo", "--focus", spec + "$"} },
	}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.Follow(event.Event{Kind: event.Start, Proc: 2, Spec: failed.Spec, Time: began})
	return c
}

// collected gives the files of a collection, and its folder.
func collected(t *testing.T, c *Collector, e event.Event) (map[string]string, string) {
	t.Helper()
	dir, err := c.Collect(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(c.Dir, dir)
	found := map[string]string{}
	err = fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			data, rerr := os.ReadFile(filepath.Join(root, name))
			found[name], err = string(data), rerr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, dir
}

func TestCollect(t *testing.T) {
	c := collector(t, broken())
	got, dir := collected(t, c, failed)
	if want := "evidence/sig-node-pods-should-run-conformance-"; !strings.HasPrefix(dir, want) {
		t.Errorf("folder %s", dir)
	}
	until := regexp.MustCompile(`--until=@\d+`)
	got["nodes/n.log"] = until.ReplaceAllString(got["nodes/n.log"], "--until=NOW")
	want := map[string]string{
		"again.sh": "#!/bin/sh\n# Runs this spec again, alone:\n# [sig-node] Pods should 'run' [Conformance]\n" +
			`exec echo --focus '[sig-node] Pods should '\''run'\'' [Conformance]$'` + "\n",
		"summary.txt": `spec:       [sig-node] Pods should 'run' [Conformance]
started:    2026-01-02 03:04:05.600
failed:     2026-01-02 03:04:12.600
at:         pods.go:12
process:    2
namespaces: pods-1

timed out

could not be had:
  deployments.apps of pods-1: 7 more than 200
`,
		"nodes/n.log": "n: journalctl --no-pager --quiet --utc --output=short-precise --since=@1767323045 --until=NOW --unit=kubelet --unit=containerd\n",
		"nodes/conditions.txt": `n (v1.36.3, containerd://2)
  Ready  False  since 2026-01-02 03:04:07.000  KubeletNotReady: PLEG is not healthy
  taint k:NoSchedule
  cordoned
  allocatable: cpu 2, memory 4Gi, pods 110

`,
		"nodes/events.txt":               "2026-01-02 03:04:07.000 Normal  NodeNotReady node/n: Node n is not ready\n",
		"pods-1/events.txt":              "2026-01-02 03:04:08.000 Normal  Scheduled pod/p: to n\n2026-01-02 03:04:10.250 Warning BackOff pod/p (3 times): token: (redacted)\n",
		"kube-system/logs/dns.c.log":     "2026 dns\n",
		"pods-1/logs/p.i.log":            "2026 hello (token)\n",
		"pods-1/logs/p.c.log":            "2026 hello (token)\n",
		"pods-1/logs/p.c.previous.log":   "2026 panic\n",
		"pods-1/deployments.apps.yaml":   "apiVersion: apps/v1\nitems:\n- apiVersion: apps/v1\n  kind: Deployment\n  metadata:\n    name: d\nkind: DeploymentList\nmetadata:\n  remainingItemCount: 7\n",
		"pods-1/things.example.com.yaml": "apiVersion: example.com/v1\nitems:\n- apiVersion: example.com/v1\n  kind: Thing\n  metadata:\n    name: t\nkind: ThingList\n",
		"pods-1/secrets.yaml":            "apiVersion: v1\nitems:\n- apiVersion: v1\n  data:\n    k: (redacted, 6 bytes)\n  kind: Secret\n  metadata:\n    annotations:\n      a: b\n    name: s\nkind: SecretList\n",
	}
	pods := got["pods-1/pods.yaml"]
	if !strings.Contains(pods, "name: p\n") || strings.Contains(pods, "managedFields") {
		t.Errorf("pods.yaml:\n%s", pods)
	}
	delete(got, "pods-1/pods.yaml")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	// Each attempt has a folder.
	if _, again := collected(t, c, failed); again != dir+"-2" {
		t.Errorf("the second folder is %s, the first %s", again, dir)
	}
}

// The script runs what the user would write.
func TestAgain(t *testing.T) {
	c := collector(t, broken())
	for _, spec := range []string{failed.Spec, "a\nrm -rf /\n`b` $c \\ \"", ""} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", c.again(spec)).Output()
		if want := "--focus " + spec + "$\n"; err != nil || string(out) != want {
			t.Errorf("%q: %q, %v", spec, out, err)
		}
	}
}

// Without a start event the process's namespaces that are not going are meant.
func TestUnknownStart(t *testing.T) {
	c := collector(t, broken())
	other := failed
	other.Proc = 1
	got, _ := collected(t, c, other)
	if _, ok := got["pods-1/events.txt"]; !ok || strings.Contains(got["summary.txt"], "earlier") || !strings.Contains(got["nodes/events.txt"], "old") {
		t.Errorf("summary:\n%s\nevents:\n%s", got["summary.txt"], got["nodes/events.txt"])
	}
	since := regexp.MustCompile(`--since=@(\d+) --until=@(\d+)`).FindStringSubmatch(got["nodes/n.log"])
	if since == nil || since[1] >= since[2] {
		t.Errorf("journal: %s", got["nodes/n.log"])
	}
}

// A suite that labels no namespaces has made those that came since.
func TestNoRunID(t *testing.T) {
	c := collector(t, broken())
	other := failed
	other.RunID = ""
	if got, _ := collected(t, c, other); !strings.Contains(got["summary.txt"], "namespaces: pods-1\n") {
		t.Errorf("summary:\n%s", got["summary.txt"])
	}
	other.Proc = 1
	if got, _ := collected(t, c, other); strings.Contains(got["summary.txt"], "namespaces:") {
		t.Errorf("summary:\n%s", got["summary.txt"])
	}
}

// What can be had is there, whatever else cannot.
func TestPartial(t *testing.T) {
	for name, test := range map[string]struct {
		api    fakeAPI
		change func(*Options)
		files  []string
		lacks  []string
	}{
		"no API": {
			api: fakeAPI{}, change: func(*Options) {},
			files: []string{"again.sh", "nodes/n.log", "summary.txt"},
			lacks: []string{"conditions of nodes: ", "events of nodes: ", "namespaces of the spec: ", "pods of kube-system: "},
		},
		"no discovery": {
			api:    fakeAPI{"/api/v1/namespaces": broken()["/api/v1/namespaces"], "/api/v1/namespaces/pods-1/events": broken()["/api/v1/namespaces/pods-1/events"]},
			change: func(*Options) {},
			files:  []string{"again.sh", "nodes/n.log", "pods-1/events.txt", "summary.txt"},
			lacks:  []string{"namespaces of the spec: asking /api for kinds of objects: ", "pods of pods-1: "},
		},
		"a journal that breaks off": {
			api: fakeAPI{}, change: func(o *Options) {
				o.Exec = func(_ context.Context, _ string, _ []string, stdout io.Writer) error {
					_, _ = io.WriteString(stdout, "some\n")
					return errors.New("exit status 1")
				}
			},
			files: []string{"again.sh", "nodes/n.log", "summary.txt"},
			lacks: []string{"journal of n: exit status 1"},
		},
		"a journal of nothing": {
			api: fakeAPI{}, change: func(o *Options) {
				o.Exec = func(context.Context, string, []string, io.Writer) error { return nil }
			},
			files: []string{"again.sh", "nodes/n.log", "summary.txt"},
		},
		"no way into nodes": {
			api: fakeAPI{}, change: func(o *Options) { o.Exec = nil },
			files: []string{"again.sh", "summary.txt"},
			lacks: []string{"journals of nodes: nobody can reach into them"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := collected(t, collector(t, test.api, test.change), failed)
			var files []string
			for file := range got {
				files = append(files, file)
			}
			slices.Sort(files)
			if !slices.Equal(files, test.files) {
				t.Errorf("files: %q", files)
			}
			for _, want := range test.lacks {
				if !strings.Contains(got["summary.txt"], "\n  "+want) {
					t.Errorf("no %q in:\n%s", want, got["summary.txt"])
				}
			}
		})
	}
}

// A collection ends with its context, and says so.
func TestEndsWithItsContext(t *testing.T) {
	hangs := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := collector(t, hangs, func(o *Options) {
		o.Exec = func(ctx context.Context, _ string, _ []string, _ io.Writer) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	dir, err := c.Collect(ctx, failed)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(c.Dir, dir, "summary.txt"))
	if err != nil || strings.Count(string(text), "deadline exceeded") != 5 {
		t.Errorf("%v, summary:\n%s", err, text)
	}
}

func TestNoFolder(t *testing.T) {
	c := collector(t, broken())
	if err := os.WriteFile(filepath.Join(c.Dir, "evidence"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if dir, err := c.Collect(t.Context(), failed); err == nil || dir != "" || !strings.Contains(err.Error(), "making a folder for evidence") {
		t.Errorf("%q, %v", dir, err)
	}
}

// Several processes fail at once.
func TestAtOnce(t *testing.T) {
	c := collector(t, broken())
	var mu sync.Mutex
	dirs := map[string]bool{}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			dir, err := c.Collect(t.Context(), failed)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			dirs[dir] = true
		})
	}
	group.Wait()
	if len(dirs) != 8 {
		t.Errorf("folders: %v", dirs)
	}
}

func TestLogsOf(t *testing.T) {
	waits := corev1.Pod{}
	waits.Name = "waits"
	waits.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", RestartCount: 1}}
	runs := corev1.Pod{}
	runs.Name = "runs"
	runs.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	runs.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", ContainerID: "1"}}
	want := []podLog{{"waits", "c", true}, {"runs", "c", false}}
	if got := logsOf([]corev1.Pod{runs, waits}); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func FuzzFolderName(f *testing.F) {
	for _, spec := range []string{failed.Spec, "", "../../etc", strings.Repeat("ä/", 300), "a\x00b\n"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		name := folderName(spec)
		if name == "" || len(name) > 80 || path.Base(name) != name || !fs.ValidPath(name) || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || name[0] == '-' {
			t.Errorf("%q makes %q", spec, name)
		}
	})
}
