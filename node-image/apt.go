package nodeimage

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// aptSource is a configured source of packages.
type aptSource struct{ URI, Suite, Component, Origin string }

// mirrors are the lines for mmdebstrap that name a suite's sources: the
// machine's own mirrors of Debian, whatever release the machine has, and no
// other source. On a machine without any, mmdebstrap's own default is used.
func (e Env) mirrors(ctx context.Context, suite string) ([]string, error) {
	list := e.Sources
	if list == nil {
		list = func() ([]aptSource, error) { return configuredSources(ctx) }
	}
	sources, err := list()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range sources {
		if s.Component != "main" || (s.Origin != "Debian" && s.Origin != "") {
			continue
		}
		release, pocket, _ := strings.Cut(s.Suite, "-")
		if !slices.Contains(debianReleases, release) || !slices.Contains([]string{"", "updates", "security"}, pocket) {
			continue
		}
		name := suite
		if pocket != "" {
			name += "-" + pocket
		}
		if line := fmt.Sprintf("deb [signed-by=%s] %s %s main", e.Keyring, s.URI, name); !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out, nil
}

// debianReleases are the names a Debian machine's own sources go by.
var debianReleases = []string{"bookworm", "trixie", "forky", "sid", "stable", "oldstable", "testing", "unstable"}

// configuredSources asks apt, which knows both forms of its files. Without
// apt there are none.
func configuredSources(ctx context.Context) ([]aptSource, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, nil
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(ORIGIN)", "Created-By: Packages").Output()
	if err != nil {
		return nil, fmt.Errorf("reading the configured package sources: %w", err)
	}
	return parseSources(string(out)), nil
}

func parseSources(text string) []aptSource {
	var out []aptSource
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 4 {
			continue
		}
		if strings.HasPrefix(f[3], "$(") { // not known before the first "apt-get update"
			f[3] = ""
		}
		out = append(out, aptSource{URI: f[0], Suite: f[1], Component: f[2], Origin: f[3]})
	}
	return out
}

// aptOptions are the machine's own settings of how apt reaches its sources.
// They are not left in the image.
func aptOptions(ctx context.Context) []string {
	out, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return nil
	}
	return transportOptions(string(out))
}

func transportOptions(dump string) []string {
	opts := []string{`APT::Install-Recommends "false"`}
	for _, line := range strings.Split(dump, "\n") {
		key, value, ok := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), ";"), " ")
		lower := strings.ToLower(key)
		if ok && value != `""` && (strings.HasPrefix(lower, "acquire::http") || strings.HasPrefix(lower, "acquire::https")) {
			opts = append(opts, key+" "+value)
		}
	}
	return opts
}
