package cli

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kluster-project/kluster/internal/config"
)

// quietApp has nobody to talk to.
func quietApp() *app {
	return newApp(Streams{Out: io.Discard, Err: io.Discard}, fakeDeps())
}

func TestCreateFlags(t *testing.T) {
	three, none, yes := 3, 0, true
	tests := map[string]struct {
		args []string
		want createOptions
	}{
		"nothing": {nil, createOptions{wait: 5 * time.Minute}},
		"all": {
			[]string{
				"--name=x", "--nodes=3", "--control-planes=3", "--workers=0", "--config=f", "--image=i",
				"--kubernetes-version=v1.35.4", "--kubeconfig=k", "--wait=1m", "--retain", "--ephemeral", "--hardened", "-ojson",
				"--registry", "--cache=docker.io", "--cache=a.example=http://b.example",
			},
			createOptions{
				flags: config.Flags{
					Name: "x", Image: "i", KubernetesVersion: "v1.35.4", Nodes: &three, ControlPlanes: &three, Workers: &none, Ephemeral: &yes, Hardened: &yes,
					Registry: true, Caches: []string{"docker.io", "a.example=http://b.example"},
				},
				file: "f", kubeconfig: "k", wait: time.Minute, retain: true,
			},
		},
		"the word cluster": {[]string{"cluster", "--name=x"}, createOptions{flags: config.Flags{Name: "x"}, wait: 5 * time.Minute}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got *createOptions
			cmd := newCreateCmd(quietApp(), func(_ context.Context, _ *app, o *createOptions) error {
				got = o
				return nil
			})
			cmd.SetArgs(test.args)
			if err := cmd.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			opt := cmp.Options{cmp.AllowUnexported(createOptions{}), cmpopts.IgnoreFields(createOptions{}, "output")}
			if diff := cmp.Diff(&test.want, got, opt); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeleteFlags(t *testing.T) {
	tests := map[string]struct {
		args []string
		want deleteOptions
	}{
		"nothing":      {nil, deleteOptions{}},
		"a name":       {[]string{"x"}, deleteOptions{name: "x"}},
		"kind's words": {[]string{"cluster", "--name", "x"}, deleteOptions{name: "x"}},
		"--cluster":    {[]string{"--cluster", "x", "--kubeconfig", "k"}, deleteOptions{name: "x", kubeconfig: "k"}},
		"twice alike":  {[]string{"--cluster", "x", "x"}, deleteOptions{name: "x"}},
		"all":          {[]string{"--all"}, deleteOptions{all: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got deleteOptions
			cmd := newDeleteCmd(quietApp(), func(_ context.Context, _ *app, o *deleteOptions) error {
				got = *o
				return nil
			})
			cmd.SetArgs(test.args)
			if err := cmd.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(deleteOptions{})); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSameMinor(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"v1.36.3", "v1.36.0", true},
		{"v1.36.3", "v1.35.3", false},
		{"", "v1.36.3", false},
		{"v1.36.3", "", false},
		{"v1.36.3-beta.1", "v1.36.3", true},
	}
	for _, test := range tests {
		if got := sameMinor(test.a, test.b); got != test.want {
			t.Errorf("sameMinor(%q, %q) = %v", test.a, test.b, got)
		}
	}
}
