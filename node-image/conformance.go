package nodeimage

import (
	"fmt"
	"strings"
)

// ConformanceImage is a container image that Kubernetes' conformance tests use.
type ConformanceImage struct {
	Ref string
	// StandIn says how the one that is built here differs from upstream's.
	StandIn string
	// Pulled: a test pulls it, whether the node has it or not.
	Pulled bool
}

// ConformanceImages lists the images that the conformance tests of a version ("" for
// the default) use. It returns *UnknownVersionError or *SpecError.
func ConformanceImages(kubernetes string) ([]ConformanceImage, error) {
	c, err := LoadCatalog()
	if err != nil {
		return nil, err
	}
	k, err := c.Find(kubernetes)
	if err != nil {
		return nil, err
	}
	return c.conformanceImages(k)
}

func (c *Catalog) conformanceImages(k KubernetesVersion) ([]ConformanceImage, error) {
	if err := c.hasConformance(k); err != nil {
		return nil, err
	}
	x := resolver{c: c, k: k}
	var out []ConformanceImage
	for _, img := range c.Images {
		if img.Conformance != "" && c.uses(k, img) {
			out = append(out, ConformanceImage{Ref: x.expand(img.Ref, "", k.Version), StandIn: img.StandIn, Pulled: img.Pulled})
		}
	}
	return out, nil
}

// uses says whether a version has the image: every version has the tag of an image
// that is in all node images.
func (c *Catalog) uses(k KubernetesVersion, img ContainerImage) bool {
	for _, m := range versionOf.FindAllString(img.Ref, -1) {
		if name := m[1 : len(m)-1]; c.VersionOf(name, k) == "" {
			return false
		}
	}
	return true
}

// hasConformance refuses a version whose conformance images are not in the table.
func (c *Catalog) hasConformance(k KubernetesVersion) error {
	if k.Conformance {
		return nil
	}
	var known []string
	for _, other := range c.Kubernetes {
		if other.Conformance {
			known = append(known, other.Version)
		}
	}
	return &SpecError{"conformance", fmt.Sprintf("no conformance images for Kubernetes %s yet; there are for: %s", k.Version, strings.Join(known, ", "))}
}
