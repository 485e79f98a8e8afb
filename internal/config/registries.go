package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/kluster-project/kluster/configs/v1alpha1"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// Registries are where images come from besides their own registries.
type Registries struct {
	// Local is nil without the local registry.
	Local  *LocalRegistry
	Caches []Cache
	// Mirrors are sorted by the registry that they are of.
	Mirrors []nodespec.Mirror
	// Credentials are the registries whose credentials nodes may use, sorted.
	Credentials []string
}

// LocalRegistry is the registry of this machine; a HostPort of 0 is its default.
type LocalRegistry struct{ HostPort int }

// Cache is a pull-through cache of a registry ("docker.io"); a URL of "" is the
// registry's own.
type Cache struct{ Registry, URL string }

// registryPattern is a registry's name before the path of an image.
var registryPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$`)

func resolveRegistries(w *wish, c *Cluster, p *problems) {
	if w.Registries.Local != nil {
		port := w.Registries.Local.HostPort
		if port < 0 || port > 65535 {
			p.add("registries.local.hostPort", "leave it out for the usual one", "must be from 1 to 65535, not %d", port)
		}
		c.Registries.Local = &LocalRegistry{HostPort: port}
	}
	first := map[string]string{}
	for i, spec := range w.Registries.Caches {
		field := item("registries.caches", i)
		if i < len(w.from.caches) {
			field = w.from.caches[i]
		}
		cache := Cache{Registry: spec.Registry, URL: strings.TrimSuffix(spec.URL, "/")}
		complaint, hint := cache.wrong()
		switch was, twice := first[cache.Registry]; {
		case complaint != "":
			p.add(field, hint, "%s", complaint)
		case twice:
			p.add(field, "a registry has one cache", "%s has a cache already, from %s", cache.Registry, was)
		}
		first[cache.Registry] = field
		c.Registries.Caches = append(c.Registries.Caches, cache)
	}
	c.Registries.Mirrors = mirrors(w, p)
	c.Registries.Credentials = credentials(w, p)
}

// wrong says what is wrong with a cache, and what to do about it.
func (c Cache) wrong() (complaint, hint string) {
	if complaint, hint = wrongRegistry(c.Registry, "cache"); complaint != "" || c.URL == "" {
		return complaint, hint
	}
	return wrongURL(c.URL)
}

// wrongRegistry says what is wrong with a registry that is to have a cache or a mirror.
func wrongRegistry(name, what string) (complaint, hint string) {
	const form = "write it as docker.io or registry.example:5000"
	host, _, err := net.SplitHostPort(name)
	if err != nil {
		host = name
	}
	addr, _ := netip.ParseAddr(host)
	switch {
	case name == "":
		return "names no registry", form
	case !registryPattern.MatchString(name), !strings.ContainsAny(name, ".:"):
		return quote(name) + " is not the name of a registry", form
	case host == "localhost", addr.IsLoopback():
		return quote(name) + " is each node's own loopback address, which has no " + what, "the local registry needs none"
	case name == "registry-1.docker.io", name == "index.docker.io":
		return "images of Docker Hub are not named by " + name, "did you mean \"docker.io\"?"
	}
	return "", ""
}

// wrongURL says what is wrong with the URL of a registry.
func wrongURL(text string) (complaint, hint string) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return "the URL is not one of a registry", "write it as https://registry.example:5000"
	case u.User != nil:
		return "the URL holds credentials, which everybody who sees the cluster's configuration would read", "log in to the registry on this machine instead: a cache uses those credentials"
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return "the URL has more than a host and a port", "write it as " + u.Scheme + "://" + u.Host
	}
	return "", ""
}

// cachesFromFlags are REGISTRY or REGISTRY=URL each.
func (w *wish) cachesFromFlags(texts []string) {
	w.Registries.Caches, w.from.caches = nil, nil
	for _, text := range texts {
		registry, at, _ := strings.Cut(text, "=")
		w.Registries.Caches = append(w.Registries.Caches, v1alpha1.Cache{Registry: registry, URL: at})
		w.from.caches = append(w.from.caches, "--cache "+text)
	}
}

// CheckCaches resolves caches that were given as flags. The error is an *Invalid.
func CheckCaches(texts []string) ([]Cache, error) {
	p := &problems{}
	w := wish{from: flagSources()}
	w.cachesFromFlags(texts)
	var c Cluster
	resolveRegistries(&w, &c, p)
	return c.Registries.Caches, p.err()
}
