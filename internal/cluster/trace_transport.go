package cluster

import (
	"net/http"

	"github.com/kluster-project/kluster/internal/trace"
)

// tracedTransport records requests to the API whose context carries a recorder.
func tracedTransport(next http.RoundTripper) http.RoundTripper { return transport{next} }

type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if trace.FromContext(req.Context()) == nil {
		return t.next.RoundTrip(req)
	}
	span := trace.Start(req.Context(), trace.Detail, "requests", req.Method+" "+req.URL.Path)
	resp, err := t.next.RoundTrip(req)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		span.EndWith(statusError(resp.Status))
		return resp, nil
	}
	span.EndWith(err)
	return resp, err
}

// statusError is an answer that is no success.
type statusError string

func (e statusError) Error() string { return string(e) }
