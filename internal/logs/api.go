package logs

import (
	"context"
	"fmt"
	"path"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/internal/bundle"
	"github.com/kluster-project/kluster/internal/inventory"
)

// requestTime bounds a request to the API, and requestsAtOnce how many there are.
const (
	requestTime    = 15 * time.Second
	requestsAtOnce = 8
)

// apiFindings is what the API says of nodes and pods.
type apiFindings struct {
	answers bool
	nodes   []corev1.Node
	pods    []corev1.Pod
}

const (
	apiDir     = "api"
	conditions = apiDir + "/nodes.txt"
	events     = apiDir + "/events.txt"
	podObjects = apiDir + "/pods.yaml"
)

// objects takes what the API holds. Where it is away that is a finding, and not more is
// asked.
func (e *export) objects(ctx context.Context) {
	if e.API == nil {
		if e.APIError != nil {
			e.apiAway(e.APIError)
		}
		return
	}
	done := e.Reporter.Start("objects of the API", 0)
	defer done(nil)
	share := e.folder.Share(mostOfAPI)
	var nodes *corev1.NodeList
	err := bounded(ctx, func(ctx context.Context) (err error) {
		nodes, err = e.API.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		return err
	})
	if err != nil && ctx.Err() != nil {
		e.miss("objects of the API", err) // which says nothing of the API
		return
	}
	if err != nil {
		e.apiAway(err)
		return
	}
	e.api.answers, e.api.nodes = true, nodes.Items
	share.Put(conditions, inventory.ConditionTable(nodes.Items), mostOfFile, bundle.Head)
	e.miss("pods", bounded(ctx, func(ctx context.Context) error {
		list, err := e.API.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if err == nil {
			e.api.pods = list.Items
		}
		return err
	}))
	e.miss(events, bounded(ctx, func(ctx context.Context) error {
		list, err := e.API.Client.CoreV1().Events("").List(ctx, metav1.ListOptions{})
		if err == nil {
			share.Put(events, inventory.EventTable(list.Items), mostOfJournal, bundle.Tail)
		}
		return err
	}))
	e.allKinds(ctx, share)
	e.miss("objects of the API", share.Err())
}

func (e *export) apiAway(err error) {
	e.find(Cause{Kind: KindAPI, Text: "the API does not answer: " + oneLine(err.Error())})
	e.miss("objects of the API", err)
}

// allKinds takes all objects of all kinds.
func (e *export) allKinds(ctx context.Context, share *bundle.Share) {
	var kinds []inventory.Kind
	e.miss("kinds of objects", bounded(ctx, func(ctx context.Context) (err error) {
		kinds, err = e.API.Kinds(ctx)
		return err
	}))
	slots := make(chan struct{}, requestsAtOnce)
	var all sync.WaitGroup
	for _, k := range kinds {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			e.miss(k.Name, bounded(ctx, func(ctx context.Context) error {
				text, err := e.API.Objects(ctx, k, "")
				share.Put(path.Join(apiDir, k.Name+".yaml"), text, mostOfJournal, bundle.Head)
				return err
			}))
		})
	}
	all.Wait()
}

// bounded gives a request its time.
func bounded(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTime, fmt.Errorf("no answer within %s", requestTime))
	defer cancel()
	err := request(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
