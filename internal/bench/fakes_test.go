package bench

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// fakeEngine holds clusters whose containers appear and go with create and delete
// of fakeTools.
type fakeEngine struct {
	mu         sync.Mutex
	clusters   map[string][]Container // by label and value
	files      map[string][]byte      // by container and path
	images     map[string]Image
	disk       map[string]int64 // by container
	useErr     error
	use        func(Container) (Use, error) // nil: always the same
	purged     []string
	extract    map[string]string // name to text, what Extract gives
	scripts    []string
	scratch    string
	scratchEnd int
	loaded     []int64 // sizes of archives
	forgotten  []string
	sent       map[string]int64
}

func (e *fakeEngine) Machine(context.Context) (Machine, error) {
	return Machine{Cores: 2, Engine: "28.0.0"}, nil
}

func (e *fakeEngine) Image(_ context.Context, ref string) (Image, error) {
	img, ok := e.images[ref]
	if !ok {
		return img, fmt.Errorf("no image %s", ref)
	}
	return img, nil
}

func (e *fakeEngine) Containers(_ context.Context, label, value string) ([]Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.clusters[label+"="+value], nil
}

func (e *fakeEngine) ReadFile(_ context.Context, c Container, path string) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	data, ok := e.files[c.ID+path]
	if !ok {
		return nil, os.ErrNotExist
	}
	return data, nil
}

func (e *fakeEngine) Use(_ context.Context, c Container) (Use, error) {
	if e.use != nil {
		return e.use(c)
	}
	return Use{CPU: 2 * time.Second, WorkingSet: int64(100 + len(c.Name))}, e.useErr
}

func (e *fakeEngine) Disk(_ context.Context, c Container) (int64, error) { return e.disk[c.Name], nil }

func (e *fakeEngine) Purge(ctx context.Context, label, value string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.purged = append(e.purged, label+"="+value)
	delete(e.clusters, label+"="+value)
	return ctx.Err()
}

func (e *fakeEngine) Extract(_ context.Context, _, script, folder string, visit func(*tar.Header, io.Reader) error) error {
	e.scripts = append(e.scripts, script)
	for name, text := range e.extract {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: strings.Trim(folder, "/") + "/" + name, Mode: 0o755}
		if err := visit(h, strings.NewReader(text)); err != nil {
			return err
		}
	}
	return nil
}

func (e *fakeEngine) Scratch(context.Context) (string, func(context.Context) error, error) {
	return e.scratch, func(ctx context.Context) error { e.scratchEnd++; return ctx.Err() }, nil
}

// newContainers makes a cluster's containers, control planes first, with a
// kubeconfig in the first.
func (e *fakeEngine) newContainers(t Tool, c Case, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range c.Nodes() {
		role := roleControlPlane
		if i >= c.ControlPlanes {
			role = roleWorker
		}
		node := fmt.Sprintf("%s-%d", name, i)
		key := t.ClusterLabel + "=" + name
		e.clusters[key] = append(e.clusters[key], Container{
			ID: node, Name: node, Address: fmt.Sprintf("10.0.0.%d", i), Labels: map[string]string{t.RoleLabel: role},
		})
		e.disk[node] = int64(1000 * (i + 1))
	}
	e.files[name+"-0"+adminConfs[1]] = []byte(name)
}

func (e *fakeEngine) remove(t Tool, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.clusters, t.ClusterLabel+"="+name)
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{clusters: map[string][]Container{}, files: map[string][]byte{}, images: map[string]Image{}, disk: map[string]int64{}}
}

// fakeTool is kluster with calls that fakeRun understands.
func fakeTool(name string) Tool {
	return Tool{
		Name: name, Program: name, ProbeImage: "probe:1", ClusterLabel: name + ".cluster", RoleLabel: name + ".role",
		Create: func(c Case, cluster, _ string) Command {
			return Command{Program: name, Args: []string{"create", c.Name, cluster}}
		},
		Delete: func(cluster, _ string) Command { return Command{Program: name, Args: []string{"delete", cluster}} },
	}
}

// newFakeRun is a run whose tools are instant and whose clusters are usable.
func newFakeRun(e *fakeEngine, tools ...Tool) (*run, *[]string) {
	var calls []string
	r := &run{
		engine: e, tools: tools, report: &Report{}, opt: Options{Rounds: 2, Timeout: time.Minute, Talk: io.Discard},
		connect: func(conf []byte, address string) (kubernetes.Interface, error) {
			if len(conf) == 0 || address == "" {
				return nil, errors.New("no kubeconfig")
			}
			return usableClient(e, string(conf)), nil
		},
		readLog: func(_ context.Context, _ kubernetes.Interface, pod string) ([]byte, error) {
			word := startedWord
			if pod == probeName {
				word = probeWord
			}
			return []byte(time.Now().Format(time.RFC3339Nano) + " " + word + "\n"), nil
		},
	}
	r.floor = func(_ context.Context, round int) FloorSample {
		calls = append(calls, "floor")
		return FloorSample{Round: round, ReadySeconds: 2}
	}
	r.exec = func(_ context.Context, c Command) (Outcome, error) {
		calls = append(calls, c.Program+" "+strings.Join(c.Args, " "))
		tool := tools[0]
		for _, t := range tools {
			if t.Name == c.Program {
				tool = t
			}
		}
		if c.Args[0] == "delete" {
			e.remove(tool, c.Args[1])
			return Outcome{Took: time.Second}, nil
		}
		for _, shape := range Cases {
			if shape.Name == c.Args[1] {
				e.newContainers(tool, shape, c.Args[2])
			}
		}
		return Outcome{Took: 3 * time.Second, CPU: time.Second}, nil
	}
	return r, &calls
}

// usableClient is the API of a cluster in which all is well: every container is
// a Ready node, and as soon as they are made the probe succeeds and other pods run.
func usableClient(e *fakeEngine, name string) *fake.Clientset {
	client := fake.NewClientset()
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, containers := range e.clusters {
		if !strings.HasSuffix(key, "="+name) {
			continue
		}
		for _, c := range containers {
			_ = client.Tracker().Add(node(c.Name, corev1.ConditionTrue))
		}
	}
	client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		pod := a.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
		pod.Status.Phase = corev1.PodRunning
		if pod.Name == probeName {
			pod.Status.Phase = corev1.PodSucceeded
		}
		return false, nil, nil
	})
	return client
}

func node(name string, ready corev1.ConditionStatus, images ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.NodeInfo.KubeletVersion = "v1.36.3"
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
	if len(images) > 0 {
		n.Status.Images = []corev1.ContainerImage{{Names: images}}
	}
	return n
}

func (e *fakeEngine) LoadImage(_ context.Context, file string) error {
	data, err := os.ReadFile(file)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loaded = append(e.loaded, int64(len(data)))
	return err
}

func (e *fakeEngine) RemoveImage(_ context.Context, ref string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forgotten = append(e.forgotten, ref)
	return nil
}

func (e *fakeEngine) Meter(context.Context) (Meter, error) { return e, nil }

func (e *fakeEngine) Env() []string { return []string{"METER=1"} }

func (e *fakeEngine) Sent(context.Context) (map[string]int64, error) { return e.sent, nil }

func (e *fakeEngine) Close() error { return nil }
