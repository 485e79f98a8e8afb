package preflight

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// mostListed is how many images of a node the API lists, at most and by default.
const mostListed = 50

// listedImages looks at the images that the API lists of each node, where there is
// nobody to ask the runtime. What is not listed may be there (the list is cut), or
// may come when it is pulled: so all that can be said is a warning.
func (e *examination) listedImages(context.Context) []Problem {
	if e.Exec != nil || len(e.Images) == 0 {
		return nil
	}
	var problems []Problem
	for _, n := range e.nodes {
		var held []string
		for _, i := range n.Status.Images {
			held = append(held, i.Names...)
		}
		missing := lacking(e.Images, held)
		if len(missing) == 0 {
			continue
		}
		cause := "they will be pulled, which fails without a way to their registry: "
		if len(n.Status.Images) >= mostListed {
			cause = fmt.Sprintf("the API lists only %d images of a node; those that are not there will be pulled: ", mostListed)
		}
		problems = append(problems, Problem{
			Warning, fmt.Sprintf("%s: %d of %d images of the suite are not listed", n.Name, len(missing), len(e.Images)), cause + strings.Join(missing, ", "),
			"see that nodes reach the registry, or load the images beforehand",
		})
	}
	return problems
}

// Listed gives the names of each image that the API lists of some node: tags
// ("name:tag") and digests ("name@sha256:...").
func Listed(ctx context.Context, config *rest.Config) ([][]string, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API: %w", err)
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var names [][]string
	for _, n := range nodes.Items {
		for _, image := range n.Status.Images {
			names = append(names, image.Names)
		}
	}
	return names, nil
}
