package servicelb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
)

var addrs = []nodespec.AddrRange{{First: netip.MustParseAddr("172.28.0.128"), Last: netip.MustParseAddr("172.28.0.191")}}

// served is a list of Services and, as a watch, one more.
func served(t *testing.T, list, later string) (kubeconfig string) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/api/v1/services" || q.Get("fieldSelector") != "spec.type=LoadBalancer" {
			http.Error(w, r.URL.String(), http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if q.Get("watch") == "" {
			fmt.Fprintf(w, `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[%s]}`, list)
			return
		}
		if q.Get("sendInitialEvents") == "true" {
			http.Error(w, "not in this test", http.StatusUnprocessableEntity)
			return
		}
		if later != "" {
			fmt.Fprintf(w, `{"type":"ADDED","object":%s}`+"\n", later)
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(api.Close)
	file := filepath.Join(t.TempDir(), "admin.conf")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"a","contexts":[{"name":"a","context":{"cluster":"a"}}],"clusters":[{"name":"a","cluster":{"server":%q}}]}`, api.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func service(name, class string) string {
	return fmt.Sprintf(`{"kind":"Service","apiVersion":"v1","metadata":{"name":%q,"namespace":"x","resourceVersion":"2"},"spec":{"type":"LoadBalancer"%s}}`, name, class)
}

func made(context.Context) error { return nil }

const ofAnother = `,"loadBalancerClass":"example.com/other"`

// fakeCluster counts what is asked of it.
type fakeCluster struct {
	state   State
	fails   int // how many times Apply fails
	applied int
}

func (c *fakeCluster) State(context.Context) (State, error) { return c.state, nil }

func (c *fakeCluster) Apply(_ context.Context, got []nodespec.AddrRange) error {
	if c.applied++; c.applied <= c.fails {
		return errors.New("the API is busy")
	}
	if len(got) != 1 || got[0] != addrs[0] {
		return fmt.Errorf("addresses %v", got)
	}
	c.state = Complete
	return nil
}

func TestMetalLBIsAppliedForTheFirstServiceOnly(t *testing.T) {
	for _, test := range []struct {
		name, list, later string
		cluster           fakeCluster
		want              int
	}{
		{"there already", service("a", ""), "", fakeCluster{}, 1},
		{"later", "", service("a", ""), fakeCluster{}, 1},
		{"installed before", service("a", ""), "", fakeCluster{state: Complete}, 0},
		{"somebody else's", service("a", ""), "", fakeCluster{state: Foreign}, 0},
		{"second try", service("a", ""), "", fakeCluster{fails: 1}, 2},
		{"of another class, then ours", service("a", ofAnother), service("b", ""), fakeCluster{}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			s := Service{Made: made, Kubeconfig: served(t, test.list, test.later), Addrs: addrs, Cluster: &test.cluster, Log: slog.New(slog.DiscardHandler)}
			if err := s.Run(ctx); err != nil || ctx.Err() != nil {
				t.Fatalf("err = %v, %v", err, ctx.Err())
			}
			if test.cluster.applied != test.want {
				t.Errorf("applied %d times, want %d", test.cluster.applied, test.want)
			}
		})
	}
}

func TestNothingIsAppliedWithoutAService(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c := &fakeCluster{}
	s := Service{Made: made, Kubeconfig: served(t, service("a", ofAnother), ""), Addrs: addrs, Cluster: c, Log: slog.New(slog.DiscardHandler)}
	if err := s.Run(ctx); err != nil || c.applied > 0 || ctx.Err() == nil {
		t.Errorf("err = %v, %d applied, %v", err, c.applied, ctx.Err())
	}
}

// TestState plays kubectl: a script that prints what there is of a kind.
func TestState(t *testing.T) {
	const ns, crd, last, pools = "namespace", "customresourcedefinition", "l2advertisements.metallb.io", "ipaddresspools.metallb.io"
	for name, test := range map[string]struct {
		there map[string]string
		want  State
	}{
		"nothing":                        {nil, Incomplete},
		"ours, begun":                    {map[string]string{ns: namespace + " kluster"}, Incomplete},
		"ours, not all":                  {map[string]string{ns: namespace + " kluster", crd: pools + " kluster"}, Incomplete},
		"ours":                           {map[string]string{ns: namespace + " kluster", crd: pools + " kluster", last: "l2/kluster"}, Complete},
		"somebody else's":                {map[string]string{ns: namespace}, Foreign},
		"somebody else's, in another ns": {map[string]string{crd: pools + " Helm"}, Foreign},
		"the same, and without a label":  {map[string]string{crd: pools}, Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script := "#!/bin/sh\nfor a; do [ -f \"" + dir + "/$a.there\" ] && cat \"" + dir + "/$a.there\"; done\nexit 0\n"
			if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			for object, text := range test.there {
				if err := os.WriteFile(filepath.Join(dir, object+".there"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			if got, err := (Kubectl{}).State(t.Context()); err != nil || got != test.want {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
}

func TestPool(t *testing.T) {
	text, err := pool(append(addrs, nodespec.AddrRange{First: netip.MustParseAddr("fd00::ff00"), Last: netip.MustParseAddr("fd00::ffff")}))
	if err != nil || !strings.Contains(string(text), `"addresses":["172.28.0.128-172.28.0.191","fd00::ff00-fd00::ffff"]`) {
		t.Errorf("err = %v: %s", err, text)
	}
}
