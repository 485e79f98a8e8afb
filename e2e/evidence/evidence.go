// Package evidence collects, while a spec that has failed waits, what explains the
// failure and will soon be gone: the objects of its namespaces, events and logs of
// pods; for as long as the spec ran the logs of kube-system and the journals of all
// nodes; the nodes' conditions; and the command that runs it again. Secrets and tokens stay out of it.
package evidence

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/internal/bundle"
	"github.com/kluster-project/kluster/internal/inventory"
)

// How long it takes at most: a suite waits for a minute, and others may be waiting.
const (
	allTime     = 25 * time.Second
	requestTime = 10 * time.Second
	// atOnce is how many requests a collection makes at once, and how many commands
	// all collections run in nodes.
	atOnce = 8
)

// NodeExec runs a command in a node and waits for it.
type NodeExec func(ctx context.Context, node string, argv []string, stdout io.Writer) error

// Options say where evidence is and where it goes.
type Options struct {
	Config *rest.Config
	// Dir is the report's folder.
	Dir string
	// Nodes are the names of the cluster's nodes, and Units the systemd units whose
	// journals are wanted of each.
	Nodes, Units []string
	// Exec reaches into nodes; nil where nobody can.
	Exec NodeExec
	// Again is the command that runs just this spec again.
	Again func(spec string) []string
}

// Collector collects for one cluster. Its methods may be called at any time, by
// several processes of a suite at once.
type Collector struct {
	Options
	api *inventory.API
	// execs has room for the commands that may run in nodes.
	execs chan struct{}

	mu      sync.Mutex
	started map[int]beginning // by process
}

// beginning is a spec that a process has started.
type beginning struct {
	spec string
	at   time.Time
}

// New makes a collector. It asks nothing of the cluster yet.
func New(o Options) (*Collector, error) {
	cfg := rest.CopyConfig(o.Config)
	cfg.QPS = -1
	cfg.Timeout = requestTime
	cfg.WarningHandler = rest.NoWarnings{}
	api, err := inventory.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Collector{Options: o, api: api, execs: make(chan struct{}, atOnce), started: map[int]beginning{}}, nil
}

// Follow takes in a suite's events, which say when specs start.
func (c *Collector) Follow(e event.Event) {
	if e.Kind == event.Start {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.started[e.Proc] = beginning{e.Spec, e.Time}
	}
}

// start is when a spec that fails began; zero if nobody knows.
func (c *Collector) start(e event.Event) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.started[e.Proc]; b.spec == e.Spec {
		return b.at
	}
	return time.Time{}
}

// Collect writes the evidence of a spec that fails into a new folder below the
// report's, and gives its path from there. What could not be had is told in its
// summary.txt; an error means that there is no folder.
func (c *Collector) Collect(ctx context.Context, e event.Event) (string, error) {
	dir, err := makeFolder(c.Dir, e.Spec)
	if err != nil {
		return "", fmt.Errorf("making a folder for evidence: %w", err)
	}
	folder, err := bundle.Open(filepath.Join(c.Dir, dir), 0o644)
	if err != nil {
		return "", err
	}
	defer folder.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, allTime, fmt.Errorf("not within %s", allTime))
	defer cancel()
	s := &scene{
		Collector: c, event: e, start: c.start(e), now: time.Now(),
		files:    folder.Share(mostOfFolder),
		requests: make(chan struct{}, atOnce),
	}
	s.files.Must("again.sh", c.again(e.Spec), 0o755)
	s.gather(ctx)
	s.files.Must("summary.txt", s.summary(), 0o644)
	return dir, nil
}

// scene is a spec that has failed, and its evidence.
type scene struct {
	*Collector
	event      event.Event
	start, now time.Time
	files      *bundle.Share
	requests   chan struct{} // has room for those made at once

	group   sync.WaitGroup
	mu      sync.Mutex
	missing []string

	spaces []string // the spec's namespaces
}

// unknownStart is how far back is looked where nobody knows when the spec started.
const unknownStart = 5 * time.Minute

// since is from when journals and logs are taken.
func (s *scene) since() time.Time {
	if s.start.IsZero() {
		return s.now.Add(-unknownStart)
	}
	return s.start
}

// gather starts with what needs no answer of the API.
func (s *scene) gather(ctx context.Context) {
	if s.Exec != nil {
		for _, node := range s.Nodes {
			s.try(ctx, s.execs, "journal of "+node, func(ctx context.Context) error { return s.journal(ctx, node) })
		}
	}
	s.ask(ctx, "conditions of nodes", s.conditions)
	s.ask(ctx, "events of nodes", s.nodeEvents)
	s.ask(ctx, "namespaces of the spec", s.namespaces)
	s.ask(ctx, "pods of "+metav1.NamespaceSystem, func(ctx context.Context) error {
		since := metav1.NewTime(s.since())
		return s.pods(ctx, metav1.NamespaceSystem, &since)
	})
	s.group.Wait()
}

// ask tries a part that asks the API.
func (s *scene) ask(ctx context.Context, what string, part func(context.Context) error) {
	s.try(ctx, s.requests, what, part)
}

// try runs a part beside the others, once it has one of the slots, and notes what
// could not be had.
func (s *scene) try(ctx context.Context, slots chan struct{}, what string, part func(context.Context) error) {
	s.group.Go(func() {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			s.miss(what, context.Cause(ctx))
			return
		}
		if err := part(ctx); err != nil {
			s.miss(what, err)
		}
	})
}

func (s *scene) miss(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missing = append(s.missing, fmt.Sprintf("%s: %v", what, err))
}

// makeFolder makes a folder for a spec, another for each attempt, and gives its
// path below the report's.
func makeFolder(report, spec string) (string, error) {
	if err := os.MkdirAll(filepath.Join(report, "evidence"), 0o755); err != nil {
		return "", err
	}
	name := "evidence/" + folderName(spec)
	for attempt := 1; ; attempt++ {
		dir := name
		if attempt > 1 {
			dir = fmt.Sprintf("%s-%d", name, attempt)
		}
		err := os.Mkdir(filepath.Join(report, filepath.FromSlash(dir)), 0o755)
		if err == nil || !os.IsExist(err) {
			return dir, err
		}
	}
}
