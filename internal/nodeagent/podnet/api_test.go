package podnet

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

func object(name, addr string, ranges ...string) *corev1.Node {
	return &corev1.Node{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.NodeSpec{PodCIDRs: ranges},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: name},
			{Type: corev1.NodeInternalIP, Address: addr},
		}},
	}
}

// apiServer refuses the first list, answers the second, and gives a test's
// events to watchers, one watch per channel in turn.
func apiServer(t *testing.T, watches ...chan metav1.WatchEvent) *httptest.Server {
	t.Helper()
	lists := 0
	served := make(chan chan metav1.WatchEvent, len(watches))
	for _, w := range watches {
		served <- w
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if got := r.URL.Query().Get("fieldSelector"); got != "metadata.name=a" {
			t.Errorf("selector %q", got)
		}
		encode := json.NewEncoder(w)
		if r.URL.Query().Get("watch") != "true" {
			if lists++; lists == 1 {
				w.WriteHeader(http.StatusForbidden)
				_ = encode.Encode(metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden})
				return
			}
			_ = encode.Encode(corev1.NodeList{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, Items: []corev1.Node{*object("a", "172.30.0.2")},
			})
			return
		}
		flush := http.NewResponseController(w).Flush
		_ = flush()
		var events chan metav1.WatchEvent
		select {
		case events = <-served:
		case <-r.Context().Done():
			return
		}
		for e := range events {
			_ = encode.Encode(e)
			_ = flush()
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func event(t *testing.T, kind string, obj any) metav1.WatchEvent {
	t.Helper()
	raw, err := json.Marshal(obj)
	if err != nil {
		t.Error(err)
	}
	e := metav1.WatchEvent{Type: kind}
	e.Object.Raw = raw
	return e
}

func TestAPI(t *testing.T) {
	first, second := make(chan metav1.WatchEvent), make(chan metav1.WatchEvent)
	server := apiServer(t, first, second)
	api, err := newAPI(&rest.Config{Host: server.URL}, "a", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	heard, done := make(chan []Peer), make(chan error)
	go func() { done <- api.Self(ctx, func(p []Peer) { heard <- p }) }()
	bare := Peer{Name: "a", Addrs: []netip.Addr{netip.MustParseAddr("172.30.0.2")}}
	full := bare
	full.Ranges = prefixes("10.244.0.0/24")
	want := func(want ...Peer) {
		t.Helper()
		if diff := cmp.Diff(want, <-heard, comparable); diff != "" {
			t.Error(diff)
		}
	}
	want(bare)                                               // after a refusal
	first <- event(t, "MODIFIED", object("a", "172.30.0.2")) // a heartbeat: nothing new
	first <- event(t, "MODIFIED", object("a", "172.30.0.2", "10.244.0.0/24", "garbage"))
	want(full)
	first <- event(t, "DELETED", object("a", "172.30.0.2"))
	want()
	first <- event(t, "ERROR", metav1.Status{Code: http.StatusGone, Reason: metav1.StatusReasonExpired})
	close(first)
	want(bare) // listed again
	close(second)
	want(bare) // and again when a watch just ends
	cancel()
	if err := <-done; err == nil {
		t.Error("ended without a reason")
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Connect(ctx, filepath.Join(t.TempDir(), "kubelet.conf"), "a", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("connected to nothing")
	}
}
