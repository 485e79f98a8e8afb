package config

import (
	"net/url"
	"strings"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

// Proxy is the proxy of the nodes; what is inside the cluster is not in No.
type Proxy struct {
	HTTP, HTTPS string
	No          []string
}

// proxy is nil when the host's proxy is meant.
func proxy(spec *v1alpha1.Proxy, p *problems) *Proxy {
	if spec == nil {
		return nil
	}
	for field, text := range map[string]string{"proxy.http": spec.HTTP, "proxy.https": spec.HTTPS} {
		u, err := url.Parse(text)
		switch {
		case text == "":
		case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https": // not in full: it may hold a password
			p.add(field, "write it as http://proxy.example:3128", "is not the URL of an HTTP proxy")
		case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			p.add(field, "write it as http://proxy.example:3128", "the URL has more than a host and a port")
		}
	}
	for i, host := range spec.No {
		if host == "" || strings.ContainsAny(host, ", \t\n") {
			p.add(item("proxy.no", i), "give each a line of its own", "%q is not one host, domain, address or subnet", shorten(host))
		}
	}
	return &Proxy{HTTP: spec.HTTP, HTTPS: spec.HTTPS, No: spec.No}
}
