package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAgainIsTheSameCommandFromAnyFolder(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want []string }{
		{
			[]string{"--create", "--control-planes", "3", "--kubernetes-version", "v1.35.4", "--focus", "Pods", "--report-dir", "r", "--clusters", "2", "--suite", "sig-node"},
			[]string{"kluster", "e2e", "run", "--control-planes", "3", "--create", "--kubernetes-version", "v1.35.4", "--suite", "sig-node"},
		},
		{
			[]string{"specs", "--kubeconfig", "conf", "--procs", "2"},
			[]string{"kluster", "e2e", "run", filepath.Join(dir, "specs"), "--kubeconfig", filepath.Join(dir, "conf")},
		},
	} {
		var got []string
		cmd := newE2ERunCmd(quietApp(), func(_ context.Context, _ *app, o *e2eRunOptions) error { got = o.Command; return nil })
		cmd.SetArgs(test.args)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q gives %q", test.args, got)
		}
	}
}

func TestASuiteOfOneNodeHasACluster(t *testing.T) {
	var got *e2eRunOptions
	cmd := newE2ERunCmd(quietApp(), func(_ context.Context, _ *app, o *e2eRunOptions) error { got = o; return nil })
	cmd.SetArgs([]string{"--suite", "cri", "--runtime", "cri-o"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if !got.create || got.flags.Workers == nil || *got.flags.Workers != 0 || got.flags.Runtime != "cri-o" {
		t.Errorf("%+v", got.flags)
	}
}
