package mirrors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/nodespec"
)

// target is a registry as a client knows it.
type target struct {
	scheme, host string // "https", "registry.example:5000"
	of           string // its name in images
	endpoints    []cri.Endpoint
}

// dockerHub is the host that clients of docker.io talk to.
const (
	dockerHub     = "registry-1.docker.io"
	dockerHubName = "docker.io"
)

// registryName is a host as images name it.
func registryName(scheme, host string) string {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	switch {
	case name == dockerHub:
		return dockerHubName
	case err == nil && port != defaultPorts[scheme]:
		return host
	}
	return strings.Trim(name, "[]")
}

// target finds what there is in the place of a host.
func (p *proxy) target(scheme, host string) (target, error) {
	t := target{scheme: scheme, host: host, of: registryName(scheme, host)}
	list, err := p.Mirrors()
	if err != nil {
		return t, err
	}
	i := slices.IndexFunc(list, func(m nodespec.Mirror) bool { return m.Of == t.of })
	if i < 0 {
		return t, nil
	}
	for _, text := range list[i].Endpoints {
		e, err := cri.ParseEndpoint(text)
		if err != nil {
			return t, fmt.Errorf("mirror of %s: %w", t.of, err)
		}
		t.endpoints = append(t.endpoints, e)
	}
	return t, nil
}

// api is where a registry's API begins; a question for it alone is the one whether the
// server is a registry and wants to know who asks.
const api = "/v2/"

// ask answers a request for a registry: from its mirrors, else from itself. What changes
// something, and the question what it is, are for itself.
func (p *proxy) ask(w http.ResponseWriter, r *http.Request, t target) {
	var asked []string
	try := func(ctx context.Context, e *cri.Endpoint, good func(code int) bool) bool {
		resp, err := p.send(ctx, r, t, e)
		if err != nil {
			asked = append(asked, err.Error())
			return false
		}
		defer resp.Body.Close()
		if !good(resp.StatusCode) {
			asked = append(asked, fmt.Sprintf("%s says %s", resp.Request.URL.Host, resp.Status))
			return false
		}
		answer(w, resp)
		return true
	}
	whatever := func(int) bool { return true }
	isPing, reads := strings.TrimSuffix(r.URL.Path, "/") == strings.TrimSuffix(api, "/"), r.Method == http.MethodGet || r.Method == http.MethodHead
	if isPing {
		ctx, cancel := context.WithTimeoutCause(r.Context(), p.Timing.Probe, errors.New("it does not answer"))
		defer cancel()
		if try(ctx, nil, func(code int) bool { return code < http.StatusInternalServerError }) {
			return
		}
	}
	if reads {
		for _, e := range t.endpoints {
			if try(r.Context(), &e, func(code int) bool { return code < http.StatusBadRequest }) {
				return
			}
		}
	}
	if !isPing && try(r.Context(), nil, whatever) {
		return
	}
	p.Log.Warn("no answer", "registry", t.of, "path", r.URL.Path, "asked", strings.Join(asked, "; "))
	fail(w, http.StatusBadGateway, fmt.Errorf("neither %s nor a mirror of it answers: %s", t.of, strings.Join(asked, "; ")))
}

// send asks an endpoint, or with none the registry itself. A mirror does not learn who
// asks: that is between client and registry.
func (p *proxy) send(ctx context.Context, r *http.Request, t target, e *cri.Endpoint) (*http.Response, error) {
	out := r.Clone(ctx)
	out.RequestURI = ""
	for _, name := range hopByHop {
		out.Header.Del(name)
	}
	out.URL.Scheme, out.URL.Host, out.Host = t.scheme, t.host, t.host
	if e != nil {
		at, err := url.Parse(e.URL)
		if err != nil {
			return nil, fmt.Errorf("mirror of %s: %w", t.of, err)
		}
		out.URL.Scheme, out.URL.Host, out.Host = at.Scheme, at.Host, at.Host
		if rest, ok := strings.CutPrefix(out.URL.Path, api); ok && rest != "" && e.Prefix != "" {
			out.URL.Path, out.URL.RawPath = api+e.Prefix+"/"+rest, ""
		}
		out.Header.Del("Authorization")
		out.Body = nil
	}
	resp, err := p.transport.RoundTrip(out)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("asking %s: %w", out.URL.Host, err)
	}
	return resp, nil
}

// hopByHop are headers that are for the proxy itself.
var hopByHop = []string{"Connection", "Proxy-Connection", "Proxy-Authorization", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// answer passes an answer on.
func answer(w http.ResponseWriter, resp *http.Response) {
	for name, values := range resp.Header {
		if !slices.Contains(hopByHop, name) {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		// The client must not take what it has for all.
		panic(http.ErrAbortHandler)
	}
}

// fail answers with an error in the form of a registry's, which clients print.
func fail(w http.ResponseWriter, code int, err error) {
	text, merr := json.Marshal(map[string]any{"errors": []map[string]string{{"code": "UNAVAILABLE", "message": err.Error()}}})
	if merr != nil {
		text = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(text) // a client that has gone needs no answer
}
