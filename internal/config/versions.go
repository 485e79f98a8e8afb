package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/kluster-project/kluster/configs/v1alpha1"
	"github.com/kluster-project/kluster/internal/nodespec"
)

var (
	kindImage = regexp.MustCompile(`^(?:.*/)?kindest/node(?::([^@]*))?(?:@.*)?$`)
	// klusterImage's tag begins with the Kubernetes version and ends with the
	// recipe's digest.
	klusterImage = regexp.MustCompile(`^` + regexp.QuoteMeta(nodespec.ImageRepository) + `:(v\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)(?:-[0-9a-f]+)?(?:@.*)?$`)
)

func isKindImage(image string) bool { return kindImage.MatchString(image) }

// versionWish is a Kubernetes version and the field that asks for it.
type versionWish struct{ version, field string }

// resolveVersion finds the cluster's Kubernetes version. kind's images cannot
// run here: they stand for the version that their tag names.
func resolveVersion(w *wish, c *Cluster, o Options, p *problems) {
	var wishes []versionWish
	add := func(version, field string) {
		if version != "" {
			wishes = append(wishes, versionWish{version, field})
		}
	}
	add(givenVersion(w, o, p), w.from.version)
	add(versionOfImage(&w.Image, w.from.image, o, p), w.from.image)
	for i := range w.Nodes {
		field := item("nodes", i) + ".image"
		add(versionOfImage(&w.Nodes[i].Image, field, o, p), field)
	}
	for _, other := range wishes[min(1, len(wishes)):] {
		if first := wishes[0]; other.version != first.version {
			p.add(other.field, "all nodes of a cluster run one version", "asks for Kubernetes %s, but %s for %s", other.version, first.field, first.version)
		}
	}
	c.Image = w.Image
	switch {
	case len(wishes) > 0:
		c.KubernetesVersion = wishes[0].version
	case w.Image == "" && len(o.KubernetesVersions) > 0 && !everyNodeHasImage(w):
		c.KubernetesVersion = o.KubernetesVersions[0]
	}
}

func everyNodeHasImage(w *wish) bool {
	for _, n := range w.Nodes {
		if n.Image == "" {
			return false
		}
	}
	return len(w.Nodes) > 0
}

// givenVersion completes and checks kubernetesVersion. With an image of one's
// own any version will do.
func givenVersion(w *wish, o Options, p *problems) string {
	given := w.KubernetesVersion
	if given == "" {
		return ""
	}
	version := given
	if !strings.HasPrefix(version, "v") {
		version = "v" + version
	}
	switch known, ok := knownVersion(version, o); {
	case !semver.IsValid(version):
		p.add(w.from.version, "write it as v1.36.3", "%q is not a Kubernetes version", shorten(given))
	case ok:
		return known
	case w.Image != "" && !isKindImage(w.Image) && semver.Canonical(version) == version:
		return version
	default:
		p.add(w.from.version, versionHint(version, o), "Kubernetes %s is not known", version)
	}
	return ""
}

// knownVersion is the known version that v means: itself, or for "v1.36" the
// newest of that minor version.
func knownVersion(v string, o Options) (string, bool) {
	if slices.Contains(o.KubernetesVersions, v) {
		return v, true
	}
	best := ""
	for _, k := range o.KubernetesVersions {
		if semver.MajorMinor(k) == v && (best == "" || semver.Compare(k, best) > 0) {
			best = k
		}
	}
	return best, best != ""
}

// versionHint offers the known version of the same minor version, or all.
func versionHint(v string, o Options) string {
	if known, ok := knownVersion(semver.MajorMinor(v), o); ok {
		return fmt.Sprintf("did you mean %q?", known)
	}
	return "known: " + strings.Join(o.KubernetesVersions, ", ")
}

// versionOfImage is the Kubernetes version that an image's name tells, if any.
// An image of kind's is replaced by "", kluster's own for that version.
func versionOfImage(image *string, field string, o Options, p *problems) string {
	if m := klusterImage.FindStringSubmatch(*image); m != nil {
		return m[1]
	}
	m := kindImage.FindStringSubmatch(*image)
	if m == nil {
		return ""
	}
	*image = ""
	if known, ok := knownVersion(m[1], o); ok {
		return known
	}
	hint := versionHint(m[1], o) + "; or pass --kubernetes-version"
	if semver.IsValid(m[1]) {
		p.add(field, hint, "kind's image stands for Kubernetes %s here, which is not known", m[1])
	} else {
		p.add(field, hint, "kind's node images cannot be used, and this one names no Kubernetes version")
	}
	return ""
}

// resolveRuntime checks the cluster's runtimes.
func resolveRuntime(w *wish, c *Cluster, o Options, p *problems) {
	c.Runtime = oneOf("container runtime", w.Runtime, o.Runtimes, w.from.runtime, p)
	c.OCIRuntime = oneOf("OCI runtime", w.OCIRuntime, o.OCIRuntimes, w.from.ociRuntime, p)
}

// nodeRuntimes gives each node its runtimes: its own or the cluster's.
func nodeRuntimes(spec v1alpha1.Node, c *Cluster, field string, o Options, p *problems) (runtime, oci string) {
	runtime, oci = c.Runtime, c.OCIRuntime
	if spec.Runtime != "" {
		runtime = oneOf("container runtime", spec.Runtime, o.Runtimes, field+".runtime", p)
	}
	if spec.OCIRuntime != "" {
		oci = oneOf("OCI runtime", spec.OCIRuntime, o.OCIRuntimes, field+".ociRuntime", p)
	}
	return runtime, oci
}

// oneOf checks a name; the first known one stands for "".
func oneOf(what, name string, known []string, field string, p *problems) string {
	switch {
	case name == "" && len(known) > 0:
		return known[0]
	case name != "" && !slices.Contains(known, name):
		p.add(field, nearestOrAll(name, known), "no %s %q", what, shorten(name))
	}
	return name
}
