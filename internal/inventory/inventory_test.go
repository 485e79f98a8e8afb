package inventory

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// answers are those of an API, by path.
type answers map[string]string

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, ok := a[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}

func api(t *testing.T, a answers) *API {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	api, err := New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func TestKinds(t *testing.T) {
	const core = `{"metadata":{"name":""},"versions":[{"version":"v1","resources":[
		{"resource":"pods","scope":"Namespaced","verbs":["list"]},{"resource":"nodes","scope":"Cluster","verbs":["list"]},
		{"resource":"events","scope":"Namespaced","verbs":["list"]},{"resource":"bindings","scope":"Namespaced","verbs":["create"]}]}]}`
	const apps = `{"metadata":{"name":"apps"},"versions":[{"version":"v1","resources":[{"resource":"deployments","scope":"Namespaced","verbs":["list"]}]},
		{"version":"v1beta1","resources":[{"resource":"deployments","scope":"Namespaced","verbs":["list"]}]}]}`
	names := func(a answers) (string, error) {
		kinds, err := api(t, a).Kinds(t.Context())
		var all []string
		for _, k := range kinds {
			name := k.Name + " " + k.Resource.Version
			if k.Namespaced {
				name += " namespaced"
			}
			all = append(all, name)
		}
		return strings.Join(all, ", "), err
	}
	got, err := names(answers{"/api": `{"items":[` + core + `]}`, "/apis": `{"items":[` + apps + `]}`})
	if want := "pods v1 namespaced, nodes v1, deployments.apps v1 namespaced"; got != want || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	// A part is better than nothing.
	if got, err := names(answers{"/api": `{"items":[` + core + `]}`}); got != "pods v1 namespaced, nodes v1" || err == nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestObjects(t *testing.T) {
	const secrets = `{"kind":"SecretList","apiVersion":"v1","metadata":{"remainingItemCount":3},
		"items":[{"kind":"Secret","apiVersion":"v1","metadata":{"name":"s"},"data":{"k":"c2VjcmV0"}}]}`
	a := api(t, answers{"/api/v1/secrets": secrets, "/api/v1/namespaces/n/secrets": `{"kind":"SecretList","apiVersion":"v1","items":[]}`})
	k := Kind{Name: "secrets", Namespaced: true}
	k.Resource.Version, k.Resource.Resource = "v1", "secrets"
	text, err := a.Objects(t.Context(), k, "")
	if err == nil || err.Error() != "3 more than 200" || !strings.Contains(string(text), "k: (redacted, 6 bytes)") {
		t.Errorf("%s, %v", text, err)
	}
	if text, err := a.Objects(t.Context(), k, "n"); err != nil || text != nil {
		t.Errorf("of an empty namespace: %s, %v", text, err)
	}
	k.Resource.Resource = "gone"
	if text, err := a.Objects(t.Context(), k, ""); err != nil || text != nil {
		t.Errorf("of a kind that has gone: %s, %v", text, err)
	}
}

func TestEventTable(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	event := func(name, reason string, last metav1.Time, count int32) corev1.Event {
		return corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Type: "Warning", Reason: reason, Message: "two\nlines", LastTimestamp: last, Count: count,
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "p"},
		}
	}
	got := string(EventTable([]corev1.Event{event("b", "Later", metav1.NewTime(at.Add(time.Second)), 3), event("a", "First", at, 1)}))
	want := "2026-01-02 03:04:05.000 Warning First pod/p: two lines\n2026-01-02 03:04:06.000 Warning Later pod/p (3 times): two lines\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}
