package plan

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Conformance is an entry of Kubernetes' list of conformance specs.
type Conformance struct {
	// Name is the spec's full name.
	Name string `yaml:"codename"`
	// Title, Description and Release say what it holds a cluster to, and since when.
	Title       string `yaml:"testname"`
	Description string `yaml:"description"`
	Release     string `yaml:"release"`
	File        string `yaml:"file"`
}

// ParseConformance decodes conformance.yaml, which each version of Kubernetes has
// in test/conformance/testdata.
func ParseConformance(data []byte) ([]Conformance, error) {
	var list []Conformance
	if err := yaml.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("reading Kubernetes' conformance list: %w", err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("reading Kubernetes' conformance list: it is empty")
	}
	seen := map[string]bool{}
	for i, c := range list {
		if c.Name == "" {
			return nil, fmt.Errorf("reading Kubernetes' conformance list: entry %d has no codename", i+1)
		}
		if seen[c.Name] {
			return nil, fmt.Errorf("reading Kubernetes' conformance list: %q is there twice", c.Name)
		}
		seen[c.Name] = true
	}
	return list, nil
}

// Names are the specs of a list.
func Names(list []Conformance) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.Name)
	}
	return out
}

// Difference is what is not in both of two lists of specs, sorted.
type Difference struct {
	Missing []string // listed, but not planned
	Extra   []string // planned, but not listed
}

// Compare holds planned specs against a list.
func Compare(planned, list []string) Difference {
	return Difference{Missing: without(list, planned), Extra: without(planned, list)}
}

// without is a less b, sorted.
func without(a, b []string) []string {
	in := map[string]bool{}
	for _, name := range b {
		in[name] = true
	}
	var out []string
	for _, name := range a {
		if !in[name] {
			in[name] = true
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
