package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

// describe names the version the way Kubernetes' own build does. A tree
// without a tag of a version in reach has none.
func (c *checkout) describe(ctx context.Context) error {
	var out strings.Builder
	err := git(ctx, c.dir, &out, "describe", "--tags", "--match=v*", "--abbrev=14", "HEAD")
	var host *HostError
	if ctx.Err() != nil || errors.As(err, &host) {
		return err
	}
	if err == nil {
		c.version = describedVersion(strings.TrimSpace(out.String()), c.changed)
	}
	return nil
}

// distance ends what "git describe" says of a commit behind its tag.
var distance = regexp.MustCompile(`-([0-9]+)-g([0-9a-f]{14})$`)

// describedVersion makes a semantic version of what "git describe" says:
// "v1.36.3-5-g0123456789abcd" is "v1.36.3-5+0123456789abcd", and behind a
// pre-release "v1.37.0-alpha.1-5-g..." is "v1.37.0-alpha.1.5+...". What is
// none is "".
func describedVersion(text string, changed bool) string {
	tag, rest := text, ""
	if m := distance.FindStringSubmatch(text); m != nil {
		tag = strings.TrimSuffix(text, m[0])
		join := "-"
		if strings.Contains(tag, "-") {
			join = "."
		}
		rest = join + m[1] + "+" + m[2]
	}
	version := tag + rest
	if changed {
		version += "-dirty"
	}
	if !semver.IsValid(version) {
		return ""
	}
	return version
}

// entryFor is the entry of the table that a checkout is built with: that of
// its own minor version, or the newest one for what is newer than all.
func (c *Catalog) entryFor(tree *checkout) (KubernetesVersion, error) {
	if tree.version == "" {
		return c.Kubernetes[0], nil
	}
	want := semver.MajorMinor(tree.version)
	for _, k := range c.Kubernetes {
		if semver.MajorMinor(k.Version) == want {
			return k, nil
		}
	}
	if newest := c.Kubernetes[0]; semver.Compare(want, newest.Version) > 0 {
		return newest, nil
	}
	return KubernetesVersion{}, &SpecError{"source", fmt.Sprintf("the checkout is of Kubernetes %s, whose etcd and CoreDNS are not known; known are: %s",
		want, strings.Join(c.Versions(), ", "))}
}
