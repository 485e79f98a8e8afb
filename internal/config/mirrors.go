package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// mirrors checks those that were asked for.
func mirrors(w *wish, p *problems) []nodespec.Mirror {
	var all []nodespec.Mirror
	for _, of := range slices.Sorted(maps.Keys(w.Registries.Mirrors)) {
		field := item("registries.mirrors", of)
		if from := w.from.mirrors[of]; from != "" {
			field = from
		}
		if complaint, hint := wrongRegistry(of, "mirror"); complaint != "" {
			p.add(field, hint, "%s", complaint)
			continue
		}
		m := nodespec.Mirror{Of: of}
		for i, text := range w.Registries.Mirrors[of] {
			at := item(field, i)
			if w.from.mirrors[of] != "" {
				at = field
			}
			if complaint, hint := wrongEndpoint(text); complaint != "" {
				p.add(at, hint, "%s", complaint)
				continue
			}
			m.Endpoints = append(m.Endpoints, strings.TrimRight(text, "/"))
		}
		if len(w.Registries.Mirrors[of]) == 0 {
			p.add(field, "write it as "+of+": [https://mirror.example]", "has no URL")
		}
		all = append(all, m)
	}
	return all
}

// wrongEndpoint says what is wrong with the URL of a mirror, without its password.
func wrongEndpoint(text string) (complaint, hint string) {
	e, err := cri.ParseEndpoint(text)
	switch {
	case strings.Contains(text, "@"):
		return "the URL holds credentials, which everybody who sees the cluster's configuration would read", "use a mirror that wants none"
	case err != nil:
		return err.Error(), "write it as https://mirror.example:5000"
	case strings.HasPrefix(e.Prefix+"/", "v2/"):
		return quote(text) + " has the path of the API, which is understood", "leave out /v2"
	}
	return "", ""
}

// credentials checks the registries whose credentials were asked for.
func credentials(w *wish, p *problems) []string {
	var all []string
	for i, name := range w.Registries.Credentials {
		complaint, hint := wrongCredentials(name)
		if complaint != "" {
			p.add(item("registries.credentials", i), hint, "%s", complaint)
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func wrongCredentials(name string) (complaint, hint string) {
	switch {
	case name == "":
		return "names no registry", "write it as ghcr.io"
	case !registryPattern.MatchString(name):
		return quote(name) + " is not the name of a registry", "write it as ghcr.io or registry.example:5000"
	case name == "registry-1.docker.io", name == "index.docker.io":
		return "images of Docker Hub are not named by " + name, "did you mean \"docker.io\"?"
	}
	return "", ""
}

// mirrorsFromFlags are REGISTRY=URL each, and stand for all mirrors of that registry
// that a file names.
func (w *wish) mirrorsFromFlags(texts []string, p *problems) {
	w.Registries.Mirrors = maps.Clone(w.Registries.Mirrors)
	if w.Registries.Mirrors == nil {
		w.Registries.Mirrors = map[string][]string{}
	}
	w.from.mirrors = map[string]string{}
	for _, text := range texts {
		of, at, ok := strings.Cut(text, "=")
		if !ok {
			p.add("--registry-mirror "+text, "", "must be REGISTRY=URL, such as docker.io=https://mirror.example")
			continue
		}
		if w.from.mirrors[of] == "" {
			delete(w.Registries.Mirrors, of)
		}
		w.from.mirrors[of] = "--registry-mirror " + of
		w.Registries.Mirrors[of] = append(w.Registries.Mirrors[of], at)
	}
}
