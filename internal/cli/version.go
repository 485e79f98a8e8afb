package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// version and commit are stamped by the Makefile with -ldflags -X; a build by
// "go install" tells its module version instead.
var version, commit string

// buildInfo is what "version -o json" prints.
type buildInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// Protocol that node images must speak.
	Protocol int `json:"protocol"`
	// Kubernetes versions that images can be built for, the default first.
	Kubernetes []string `json:"kubernetes"`
}

func newVersionCmd(a *app) *cobra.Command {
	var output choice
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of kluster",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return runVersion(a, output.value) },
	}
	addChoice(cmd, &output, "output", "o", "how to print", formatText, formatJSON)
	return cmd
}

func runVersion(a *app, format string) error {
	options, err := a.deps.Config()
	if err != nil {
		return err
	}
	b := buildInfo{
		Version: version, Commit: commit, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Protocol: nodespec.Protocol, Kubernetes: options.KubernetesVersions,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.complete(info)
	}
	if format == formatJSON {
		return printJSON(a.streams.Out, b)
	}
	_, err = fmt.Fprintf(a.streams.Out, "kluster %s %s %s\n", b.Version, b.Go, b.Platform)
	return err
}

// complete fills in what was not stamped.
func (b *buildInfo) complete(info *debug.BuildInfo) {
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && b.Commit == "" {
			b.Commit = s.Value
		}
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
}
