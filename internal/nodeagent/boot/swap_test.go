package boot

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

const dropIn = "ExtendWebSocketsToKubelet: false"

// swappable is a node of a runtime that has booted, with a kubelet of v1.36.
func swappable(t *testing.T, name string) (*Machine, *fake, cri.Runtime) {
	t.Helper()
	runtime, err := cri.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	node := nodespec.Node{
		Protocol: nodespec.Protocol, Name: "n", Role: nodespec.RoleControlPlane, Runtime: name,
		RuntimePatches: []string{"[grpc]\nuid = 7\n"},
	}
	text, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	m, kernel := newMachine(t, map[string]string{
		nodespec.NodeFile:                        string(text),
		"/var/lib/kubelet/instance-config.yaml":  "containerRuntimeEndpoint: \"" + runtime.Socket + "\"\n",
		"/var/lib/kubelet/config.yaml":           "cgroupRoot: /kubelet\ncontainerRuntimeEndpoint: " + runtime.Socket + "\n",
		"/var/lib/kubelet/kubeadm-flags.env":     "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=" + runtime.Socket + " --node-ip=10.0.0.2\"\n",
		"/usr/local/sbin/runc":                   "",
		"/usr/bin/crun":                          "",
		unitDir + "containerd.service":           "",
		unitDir + "crio.service":                 "",
		"/opt/kluster/store/containerd/" + bolt:  "preloaded",
		"/opt/kluster/store/containerd/" + state: "preloaded",
	})
	m.Node = node
	kernel.outputs["kubelet --version"] = "Kubernetes v1.36.3\n"
	mustStep(t, m, "runtime-configuration")
	mustStep(t, m, "kubelet-runtime")
	return m, kernel, runtime
}

// Files of containerd's store.
const (
	bolt  = "io.containerd.metadata.v1.bolt/meta.db"
	state = "io.containerd.snapshotter.v1.overlayfs/metadata.db"
)

func mustGet(t *testing.T, name string) cri.Runtime {
	t.Helper()
	runtime, err := cri.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return runtime
}

// mustPoint sees that all of the kubelet's configuration is for a runtime.
func mustPoint(t *testing.T, m *Machine, runtime cri.Runtime) {
	t.Helper()
	for _, file := range kubeletFiles {
		text := m.text(t, file)
		if !strings.Contains(text, runtime.Socket) {
			t.Errorf("%s is not for %s:\n%s", file, runtime.Name, text)
		}
	}
	text, err := os.ReadFile(m.path(nodespec.RuntimeDropIn))
	if flags := m.text(t, kubeletFlags); len(runtime.Gates) > 0 && strings.Count(flags, " --config-dir="+nodespec.KubeletDropIns+"\"\n") != 1 {
		t.Errorf("the kubelet does not look at its drop-ins: %s", flags)
	}
	if has := err == nil && strings.Contains(string(text), dropIn); has != (len(runtime.Gates) > 0) {
		t.Errorf("drop-in beside %s: %q, %v", runtime.Name, text, err)
	}
}

func TestEveryRuntimeAfterEveryOther(t *testing.T) {
	for _, from := range cri.Names() {
		for _, to := range cri.Names() {
			m, kernel, former := swappable(t, from)
			mustPoint(t, m, former)
			next, record := mustGet(t, to), m.text(t, nodespec.NodeFile)
			if err := UseRuntime(t.Context(), m, next, "crun"); err != nil {
				t.Fatal(err)
			}
			mustPoint(t, m, next)
			if got := m.enabled(t); !slices.Equal(got, slices.Sorted(slices.Values(next.Units))) {
				t.Errorf("%s after %s: systemd starts %v", to, from, got)
			}
			if m.text(t, nodespec.NodeFile) != record {
				t.Error("the record has changed before the swap is through")
			}
			if last := kernel.calls[len(kernel.calls)-1]; last != "systemctl daemon-reload" {
				t.Errorf("the last call is %q", last)
			}

			// A boot now goes back, and so does a boot after the record goes on.
			mustStep(t, m, "runtime-configuration")
			mustStep(t, m, "kubelet-runtime")
			mustPoint(t, m, former)
			if err := RecordRuntime(m, next, "crun"); err != nil {
				t.Fatal(err)
			}
			node, err := ReadNode(m.Root)
			if err != nil || node.Runtime != to || node.OCIRuntime != "crun" || node.Role != m.Node.Role {
				t.Fatalf("recorded %+v, %v", node, err)
			}
			m.Node = node
			mustStep(t, m, "runtime-configuration")
			mustStep(t, m, "kubelet-runtime")
			mustPoint(t, m, next)
		}
	}
}

func TestPatchesWaitForTheRuntimeThatTakesThem(t *testing.T) {
	m, _, _ := swappable(t, "cri-o")
	if text := m.text(t, "/etc/crio/crio.conf"); strings.Contains(text, "uid = 7") {
		t.Errorf("CRI-O got a patch of containerd's:\n%s", text)
	}
	if err := UseRuntime(t.Context(), m, mustGet(t, "containerd"), ""); err != nil {
		t.Fatal(err)
	}
	if text := m.text(t, "/etc/containerd/config.toml"); !strings.Contains(text, "uid = 7") {
		t.Errorf("containerd did not get its patch:\n%s", text)
	}
}

func TestImagesForARuntimeWhoseFolderIsShared(t *testing.T) {
	m, _, _ := swappable(t, "cri-dockerd")
	containerd := mustGet(t, "containerd")
	put(t, m.Root, "/var/lib/containerd/"+bolt, "Docker's")
	if err := UseRuntime(t.Context(), m, containerd, ""); err != nil {
		t.Fatal(err)
	}
	if got := m.text(t, "/var/lib/containerd/"+bolt); got != "preloaded" {
		t.Errorf("containerd starts with %q", got)
	}
	// What it has got since then is its own.
	put(t, m.Root, "/var/lib/containerd/"+bolt, "loaded by the user")
	for _, name := range []string{"cri-dockerd", "containerd"} {
		if err := UseRuntime(t.Context(), m, mustGet(t, name), ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.text(t, "/var/lib/containerd/"+bolt); got != "loaded by the user" {
		t.Errorf("containerd comes back with %q", got)
	}
}

func TestPodsEndBeforeTheirRuntime(t *testing.T) {
	m, kernel, runtime := swappable(t, "cri-o")
	kernel.outputs["crictl --runtime-endpoint "+runtime.Socket+" ps --quiet --name ^kube-apiserver$"] = "abc\n"
	kernel.outputs["crictl --runtime-endpoint "+runtime.Socket+" ps --quiet"] = "def\n"
	kernel.calls = nil
	if err := StopRuntime(t.Context(), m, runtime); err != nil {
		t.Fatal(err)
	}
	crictl := "crictl --runtime-endpoint " + runtime.Socket
	want := []string{
		"systemctl is-active crio.service",
		crictl + " ps --quiet --name ^kube-apiserver$", crictl + " stop --timeout 10 abc",
		crictl + " ps --quiet", crictl + " stop --timeout 10 def", crictl + " rmp --force --all",
		"systemctl stop crio.service",
	}
	if diff := cmp.Diff(want, kernel.calls); diff != "" {
		t.Error(diff)
	}
	kernel.calls, kernel.broken = nil, "rmp"
	if err := StopRuntime(t.Context(), m, runtime); err == nil || slices.Contains(kernel.calls, "systemctl stop crio.service") {
		t.Errorf("pods that do not end: %v, %q", err, kernel.calls)
	}
}

func TestRestoreAfterASwapCutShort(t *testing.T) {
	m, kernel, former := swappable(t, "containerd")
	next := mustGet(t, "cri-o")
	if err := UseRuntime(t.Context(), m, next, ""); err != nil {
		t.Fatal(err)
	}
	kernel.calls, kernel.broken = nil, "rmp"
	if err := RestoreRuntime(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	mustPoint(t, m, former)
	if got := kernel.calls[len(kernel.calls)-2:]; !slices.Equal(got, []string{"systemctl restart containerd.service", "systemctl start kubelet.service"}) {
		t.Errorf("at last: %q", got)
	}
	if i, j := slices.Index(kernel.calls, "systemctl stop kubelet.service"), slices.Index(kernel.calls, "systemctl daemon-reload"); i < 0 || j < i {
		t.Errorf("the kubelet runs meanwhile: %q", kernel.calls)
	}
}
