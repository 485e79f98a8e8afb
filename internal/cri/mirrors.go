package cri

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Mark is the first line of files about registries that kluster wrote, and may remove.
const Mark = "# Written by kluster; it will be written again.\n"

// Mirrors says how a runtime is told of mirrors. The zero value is for one that cannot
// be told: its pulls go through a proxy in the node that asks them
// (nodeagent/mirrors). What it is told takes effect at the next pull.
type Mirrors struct {
	// Files are all files for a list of mirrors, which has each registry once.
	Files func([]nodespec.Mirror) ([]nodespec.File, error)
	// Glob is where files of other lists may be: those with Mark that are not among
	// Files are removed. "" if Files are always the same paths.
	Glob string
}

// Endpoint is a URL of nodespec.Mirror in its parts.
type Endpoint struct {
	// URL is scheme and host ("https://mirror.example:5000").
	URL string
	// Host is the host with its port, if any, and Insecure says that it has no TLS.
	Host     string
	Insecure bool
	// Prefix comes before names of images: "hub", "" for none.
	Prefix string
}

// ParseEndpoint reads a URL of nodespec.Mirror.
func ParseEndpoint(text string) (Endpoint, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return Endpoint{}, fmt.Errorf("%q is not a URL", text)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return Endpoint{}, fmt.Errorf("%q does not begin with http:// or https:// and a host", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return Endpoint{}, fmt.Errorf("%q has more than a host and a path", u.Redacted())
	}
	return Endpoint{
		URL: u.Scheme + "://" + u.Host, Host: u.Host, Insecure: u.Scheme == "http",
		Prefix: strings.Trim(path.Clean("/"+u.Path), "/"),
	}, nil
}

// endpoints parses those of a mirror.
func endpoints(m nodespec.Mirror) ([]Endpoint, error) {
	var all []Endpoint
	for _, text := range m.Endpoints {
		e, err := ParseEndpoint(text)
		if err != nil {
			return nil, fmt.Errorf("mirror of %s: %w", m.Of, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// containerdHosts is the folder with containerd's knowledge of registries, which it
// reads at every pull.
const containerdHosts = "/etc/containerd/certs.d"

// containerdMirrors is a hosts.toml for each registry. It names no server of its own:
// the registry itself comes last.
func containerdMirrors(list []nodespec.Mirror) ([]nodespec.File, error) {
	var files []nodespec.File
	for _, m := range list {
		all, err := endpoints(m)
		if err != nil {
			return nil, err
		}
		text := Mark
		for _, e := range all {
			at, own := e.URL, ""
			if e.Prefix != "" {
				at, own = e.URL+"/v2/"+e.Prefix, "override_path = true\n"
			}
			text += fmt.Sprintf("[host.%q]\ncapabilities = [\"pull\", \"resolve\"]\n%s", at, own)
		}
		files = append(files, textFile(path.Join(containerdHosts, m.Of, "hosts.toml"), text))
	}
	return files, nil
}

// crioMirrors is one file, also of no mirrors. CRI-O watches its folder.
func crioMirrors(list []nodespec.Mirror) ([]nodespec.File, error) {
	text := Mark
	for _, m := range list {
		all, err := endpoints(m)
		if err != nil {
			return nil, err
		}
		text += fmt.Sprintf("[[registry]]\nlocation = %q\n", m.Of)
		for _, e := range all {
			text += fmt.Sprintf("[[registry.mirror]]\nlocation = %q\ninsecure = %t\n", path.Join(e.Host, e.Prefix), e.Insecure)
		}
	}
	return []nodespec.File{textFile(path.Join(crioRegistries, "mirrors.conf"), text)}, nil
}
