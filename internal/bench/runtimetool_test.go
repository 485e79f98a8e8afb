package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestRuntimeCommands(t *testing.T) {
	kluster := Kluster("kluster", "image", "probe", "")
	for name, test := range map[string]struct {
		image string
		want  string
	}{
		"kluster's own image": {"", "create --name x --kubeconfig f --output json --control-planes 1 --workers 0 --runtime cri-o --oci-runtime crun"},
		"a named image": {
			"all:1", "create --name x --kubeconfig f --output json --control-planes 1 --workers 0 --runtime cri-o --oci-runtime crun --image all:1",
		},
	} {
		tool, err := kluster.withPair(Pair{"cri-o", "crun"}, test.image, "busybox:1")
		if err != nil {
			t.Fatal(err)
		}
		for want, got := range map[string]Command{
			test.want:                          tool.Create(oneNode, "x", "f"),
			"load --cluster x --archive a.tar": tool.Load("x", "a.tar"),
			"exec --cluster x n -- crictl --runtime-endpoint " + "unix:///var/run/crio/crio.sock inspecti -q ref:1": tool.Has("x", "n", "ref:1"),
		} {
			if text := strings.Join(got.Args, " "); text != want || got.Program != "kluster" {
				t.Errorf("%s: got %s %q, want %q", name, got.Program, text, want)
			}
		}
	}
	if _, err := kluster.withPair(Pair{"rkt", "crun"}, "", ""); err == nil {
		t.Error("a runtime that nobody knows was taken")
	}
}

// runtimeImage is a node image that holds container runtimes, with both OCI runtimes.
func runtimeImage(runtimes string) Image {
	return Image{Labels: map[string]string{
		nodespec.LabelKubernetes: "v1.36.3",
		nodespec.LabelManifest: fmt.Sprintf(`{"runtimes": [%s], "components": [{"name": "runc"}, {"name": "crun"}],
			"images": [{"ref": "x/agnhost:1"}, {"ref": "x/busybox:1"}]}`, runtimes),
	}}
}

func preparedRuntimes(t *testing.T, image string, pairs ...Pair) (*Report, []RuntimeTool, []string, error) {
	t.Helper()
	e := newFakeEngine()
	e.images["node:containerd"], e.images["node:cri-o"] = runtimeImage(`"containerd"`), runtimeImage(`"cri-o"`)
	e.images["node:both"] = runtimeImage(`"containerd", "cri-o"`)
	var calls []string
	exec := func(_ context.Context, c Command) (Outcome, error) {
		verb := strings.Join(c.Args, " ")
		calls = append(calls, verb)
		runtime, build := strings.CutPrefix(verb, "build node-image --runtime ")
		switch {
		case verb == "version --output json":
			return Outcome{Stdout: `{"version": "v0.2.0", "commit": "0123abc"}`}, nil
		case build:
			return Outcome{Stdout: "node:" + runtime + "\n"}, nil
		}
		return Outcome{}, errors.New("unknown verb")
	}
	r, tools, err := PrepareRuntimes(t.Context(), e, exec, Wanted{Kluster: "kluster"}, pairs, image)
	return r, tools, calls, err
}

func TestPrepareRuntimes(t *testing.T) {
	pairs := []Pair{{"containerd", "runc"}, {"containerd", "crun"}, {"cri-o", "runc"}}
	for name, test := range map[string]struct {
		image  string
		images map[string]string
		builds []string
	}{
		"an image for each": {"", map[string]string{"containerd": "node:containerd", "cri-o": "node:cri-o"}, []string{
			"build node-image --runtime containerd", "build node-image --runtime cri-o",
		}},
		"one for all": {"node:both", map[string]string{"containerd": "node:both", "cri-o": "node:both"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, tools, calls, err := preparedRuntimes(t, test.image, pairs...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]string{"version --output json"}, test.builds...), calls); diff != "" {
				t.Errorf("calls: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(&RuntimeSettings{Pairs: pairs, Images: test.images}, r.Settings.Runtimes); diff != "" {
				t.Errorf("settings: -want +got:\n%s", diff)
			}
			want := Versions{Kubernetes: "v1.36.3", Kluster: "v0.2.0", Image: test.images["containerd"]}
			if diff := cmp.Diff(want, r.Versions); diff != "" || r.Commit != "0123abc" {
				t.Errorf("commit %s, versions: -want +got:\n%s", r.Commit, diff)
			}
			if len(tools) != len(pairs) {
				t.Fatalf("%d tools", len(tools))
			}
			for i, tool := range tools {
				if tool.Pair != pairs[i] || tool.PodImage != "x/busybox:1" || tool.ProbeImage != "x/agnhost:1" {
					t.Errorf("tool %d: %+v", i, tool)
				}
			}
		})
	}
}

func TestPrepareRuntimesFails(t *testing.T) {
	for name, test := range map[string]struct {
		image string
		pair  Pair
		want  string
	}{
		"no such image":        {"node:none", Pair{"containerd", "runc"}, "no image node:none"},
		"not in the image":     {"node:cri-o", Pair{"containerd", "runc"}, "holds cri-o, not containerd with runc"},
		"no such OCI runtime":  {"node:cri-o", Pair{"cri-o", "kata"}, "not cri-o with kata"},
		"nothing can be built": {"", Pair{"rkt", "runc"}, "no image node:rkt"},
	} {
		if _, _, _, err := preparedRuntimes(t, test.image, test.pair); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
