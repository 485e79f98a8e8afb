package config

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var gateName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)

// checkGates checks the form of feature gates and of --runtime-config.
func checkGates(w *wish, p *problems) {
	for _, name := range slices.Sorted(maps.Keys(w.FeatureGates)) {
		if !gateName.MatchString(name) {
			p.add(item("featureGates", name), "", "%q is not the name of a feature gate", shorten(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.RuntimeConfig)) {
		at := item("runtimeConfig", name)
		if name == "" || strings.ContainsAny(name, ",= ") {
			p.add(at, `write it as "api/all" or "apps/v1"`, "%q is not an API", shorten(name))
		}
		if value := w.RuntimeConfig[name]; value != "" {
			if _, err := strconv.ParseBool(value); err != nil {
				p.add(at, "", "must be true or false, not %q", shorten(value))
			}
		}
	}
}
