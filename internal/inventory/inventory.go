// Package inventory writes down what a cluster's API holds, for whoever looks for the
// cause of a failure: all objects as YAML without the data of Secrets, events and the
// conditions of nodes as tables.
package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/redact"
)

// API reaches a cluster's.
type API struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
}

// New makes the clients. It asks nothing of the cluster yet.
func New(cfg *rest.Config) (*API, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API: %w", err)
	}
	objects, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API: %w", err)
	}
	return &API{client, objects}, nil
}

// Kind is a kind of objects that can be listed.
type Kind struct {
	Resource schema.GroupVersionResource
	// Name is "pods", or "deployments.apps" in a group.
	Name string
	// Namespaced says whether namespaces hold them.
	Namespaced bool
}

// Kinds asks what the API holds, resources of users' own too, but not events, which
// have a form of their own. With an error it gives those that it knows of.
func (a *API) Kinds(ctx context.Context) ([]Kind, error) {
	var kinds []Kind
	for _, path := range []string{"/api", "/apis"} {
		groups, err := a.discover(ctx, path)
		if err != nil {
			return kinds, fmt.Errorf("asking %s for kinds of objects: %w", path, err)
		}
		for _, g := range groups {
			kinds = append(kinds, kindsOf(g)...)
		}
	}
	return kinds, nil
}

// aggregated is the form of discovery that tells all at once.
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// discover is what package discovery does without a context.
func (a *API) discover(ctx context.Context, path string) ([]apidiscoveryv2.APIGroupDiscovery, error) {
	data, err := a.Client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", aggregated).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var list apidiscoveryv2.APIGroupDiscoveryList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	return list.Items, nil
}

// kindsOf are the kinds of a group, each in the version that the server prefers.
func kindsOf(g apidiscoveryv2.APIGroupDiscovery) []Kind {
	var kinds []Kind
	seen := map[string]bool{"events": true} // they have a form of their own
	for _, v := range g.Versions {
		for _, r := range v.Resources {
			if !slices.Contains(r.Verbs, "list") || seen[r.Resource] {
				continue
			}
			seen[r.Resource] = true
			kinds = append(kinds, Kind{
				schema.GroupVersionResource{Group: g.Name, Version: v.Version, Resource: r.Resource},
				strings.TrimSuffix(r.Resource+"."+g.Name, "."), r.Scope == apidiscoveryv2.ScopeNamespace,
			})
		}
	}
	return kinds
}

// mostObjects of a kind are taken.
const mostObjects = 200

// Objects are those of a kind, in a namespace or, with "", in all, as YAML; nothing if
// there are none. With an error it gives what it could have.
func (a *API) Objects(ctx context.Context, k Kind, namespace string) ([]byte, error) {
	list, err := a.Dynamic.Resource(k.Resource).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: mostObjects})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil // a kind that has gone, or was never kept
	}
	if err != nil || len(list.Items) == 0 {
		return nil, err
	}
	for i := range list.Items {
		redact.Object(&list.Items[i])
	}
	text, err := yaml.Marshal(list.UnstructuredContent())
	if err != nil {
		return nil, err
	}
	if left := list.GetRemainingItemCount(); left != nil && *left > 0 {
		return text, fmt.Errorf("%d more than %d", *left, mostObjects)
	}
	return text, nil
}
