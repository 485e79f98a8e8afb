package config

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

// resolveNode checks one entry of nodes; its role and name come later.
func resolveNode(w *wish, spec v1alpha1.Node, field string, o Options, p *problems) Node {
	checkLabels(spec.Labels, field+".labels", p)
	checkEnv(spec.Env, field+".env", p)
	return Node{
		Image:  spec.Image,
		Labels: spec.Labels,
		Taints: taints(spec.Taints, field+".taints", p),
		CPUs:   cpus(string(spec.CPUs), field+".cpus", p),
		Memory: memory(spec.Memory, field+".memory", p),
		Mounts: mounts(w, spec.ExtraMounts, field+".extraMounts", o, p),
		Ports:  ports(w, spec.ExtraPortMappings, field+".extraPortMappings", p),
		Env:    spec.Env,
	}
}

func checkLabels(labels map[string]string, field string, p *problems) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		at := item(field, key)
		if errs := validation.IsQualifiedName(key); len(errs) > 0 {
			p.add(at, "", "%q is not a label: %s", shorten(key), reason(errs))
		}
		if errs := validation.IsValidLabelValue(labels[key]); len(errs) > 0 {
			p.add(at, "", "%q is not a label's value: %s", shorten(labels[key]), reason(errs))
		}
	}
}

// reason is the first of Kubernetes' complaints, without its examples.
func reason(errs []string) string {
	first, _, _ := strings.Cut(errs[0], " (e.g.")
	return first
}

func checkEnv(env map[string]string, field string, p *problems) {
	for _, key := range slices.Sorted(maps.Keys(env)) {
		if errs := validation.IsEnvVarName(key); len(errs) > 0 {
			p.add(item(field, key), "", "%q is not an environment variable's name", shorten(key))
		}
		if strings.ContainsAny(env[key], "\x00\n") {
			p.add(item(field, key), "", "the value must be one line")
		}
	}
}

var taintEffects = []string{"NoSchedule", "PreferNoSchedule", "NoExecute"}

// taints keeps the difference between no list (nil) and an empty one.
func taints(specs []v1alpha1.Taint, field string, p *problems) []Taint {
	if specs == nil {
		return nil
	}
	out := []Taint{}
	for i, t := range specs {
		at := item(field, i)
		if errs := validation.IsQualifiedName(t.Key); len(errs) > 0 {
			p.add(at+".key", "", "%q is not a taint's key: %s", shorten(t.Key), reason(errs))
		}
		if errs := validation.IsValidLabelValue(t.Value); len(errs) > 0 {
			p.add(at+".value", "", "%q is not a taint's value: %s", shorten(t.Value), reason(errs))
		}
		if !slices.Contains(taintEffects, t.Effect) {
			p.add(at+".effect", nearestOrAll(t.Effect, taintEffects), "no taint effect %q", shorten(t.Effect))
		}
		taint := Taint{Key: t.Key, Value: t.Value, Effect: t.Effect}
		if slices.ContainsFunc(out, func(o Taint) bool { return o.Key == t.Key && o.Effect == t.Effect }) {
			p.add(at, "", "the node has a taint %s:%s already", t.Key, t.Effect)
		}
		out = append(out, taint)
	}
	return out
}

// Bounds of a node's limits: less does not start, more is a slip of the pen.
const (
	minCPUs, maxCPUs = 0.1, 4096
	minMemory        = 256 << 20
	maxMemory        = 1 << 50
)

func cpus(written, field string, p *problems) float64 {
	if written == "" {
		return 0
	}
	q, err := resource.ParseQuantity(written)
	n := q.AsApproximateFloat64()
	switch {
	case err != nil:
		p.add(field, `write it as 2, "1.5" or "500m"`, "%q is not a number of CPUs", shorten(written))
	case n < minCPUs || n > maxCPUs:
		p.add(field, "", "must be from %v to %v CPUs, not %s", minCPUs, maxCPUs, shorten(written))
	}
	return n
}

func memory(written, field string, p *problems) int64 {
	if written == "" {
		return 0
	}
	q, err := resource.ParseQuantity(written)
	n := q.Value()
	switch {
	case err != nil:
		p.add(field, `write it as "2Gi" or "512Mi"`, "%q is not an amount of memory", shorten(written))
	case n < minMemory || n > maxMemory:
		p.add(field, `write it as "2Gi" or "512Mi"`, "must be from 256Mi to 1Pi, not %s", shorten(written))
	}
	return n
}
