// Package logs takes the evidence of a cluster into a folder that can be given to
// others: what its machines printed, journals, pods' logs, configuration, what their
// container runtimes know, and the objects of the API; and it names likely causes of
// what is wrong (summary.txt, summary.json, index.html).
//
// All is taken at once and as far as it can be had: a machine that is stopped, or an
// API that is away, is itself a finding. Package bundle sees that no secrets get into
// the folder and that nothing gets out of it.
package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/kluster-project/kluster/internal/bundle"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/inventory"
	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/provider"
)

// mostOfNode is how many bytes of evidence are kept of a machine, and mostOfAPI of the
// objects of the API.
const (
	mostOfNode = 64 << 20
	mostOfAPI  = 64 << 20
)

// Machine is one of a cluster, a node or one that only helps nodes.
type Machine struct {
	provider.Node
	Role string
	// Runtime is the container runtime of a node; nil of a machine without systemd and
	// without containers, as the load balancer.
	Runtime *cri.Runtime
	// Config are further files that tell how it is set up.
	Config []string
}

// Options say what is taken, and into which folder.
type Options struct {
	Cluster  string
	Provider provider.Provider
	Machines []Machine
	// API is the cluster's; nil if there is none, with the reason in APIError (nil:
	// there never was one).
	API      *inventory.API
	APIError error
	// Since is from when on journals and logs are taken; zero for all.
	Since time.Time
	// Dir is the folder: a new one, or an empty one.
	Dir string
	// Reporter, if not nil, hears of each machine.
	Reporter status.Reporter
	// MostOfNode is how many bytes are kept of a machine; 0 for the usual 64 MiB.
	MostOfNode int
}

// Export takes the evidence. What could not be had is told in the summary; an error
// means that there is no folder, or that ctx ended before all was taken: then there is
// a summary too, and it says so.
func Export(ctx context.Context, o Options) (*Summary, error) {
	if err := makeFolder(o.Dir); err != nil {
		return nil, err
	}
	folder, err := bundle.Open(o.Dir, 0o600)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	if o.Reporter == nil {
		o.Reporter = status.Discard
	}
	if o.MostOfNode == 0 {
		o.MostOfNode = mostOfNode
	}
	e := &export{Options: o, folder: folder, taken: time.Now(), ended: func() error { return context.Cause(ctx) }}
	// An export that is killed has this to say of itself.
	e.folder.Share(0).Must(summaryFile, "This export is under way, or was killed: files may be missing, and end early.\n", 0o600)
	e.gather(ctx)
	s := e.summary(ctx)
	if err := e.conclude(s); err != nil {
		return s, err
	}
	if ctx.Err() != nil {
		return s, fmt.Errorf("exporting logs: %w", context.Cause(ctx))
	}
	return s, nil
}

// makeFolder makes the folder for the evidence; it may be there if nothing is in it.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return failure.With(fmt.Errorf("making the folder for logs: %w", err), failure.Exit(failure.CodeUsage))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking into the folder for logs: %w", err)
	}
	if len(entries) > 0 {
		return failure.New(fmt.Sprintf("folder %s is not empty", dir),
			failure.Exit(failure.CodeUsage), failure.Hint("give a folder that does not exist, or remove that one"))
	}
	return nil
}

// export is one under way.
type export struct {
	Options
	folder *bundle.Folder
	taken  time.Time
	// ended is why all of it had to end before it was done; nil while it goes on.
	ended func() error

	mu       sync.Mutex
	missing  []string
	findings []Cause
	api      apiFindings
	nodes    []*nodeExport // in the order of Machines
}

// gather takes all that can be had, from everybody at once.
func (e *export) gather(ctx context.Context) {
	var all sync.WaitGroup
	for _, m := range e.Machines {
		n := &nodeExport{
			export: e, Machine: m, dir: path.Join("nodes", m.Name),
			share: e.folder.Share(e.MostOfNode), lastLines: map[string]string{},
		}
		e.nodes = append(e.nodes, n)
		all.Go(func() {
			done := e.Reporter.Start("logs of "+m.Name, 0)
			n.gather(ctx)
			done(nil)
		})
	}
	all.Go(func() { e.objects(ctx) })
	all.Wait()
}

// longestReason is how much is told of why something could not be had.
const longestReason = 500

// miss notes what could not be had.
func (e *export) miss(what string, err error) {
	if err == nil {
		return
	}
	text := oneLine(err.Error())
	var failed *provider.ExecError
	if ended := e.ended(); ended != nil && isEnd(err, ended) {
		text = ended.Error() // whatever it was at then
	} else if errors.As(err, &failed) {
		text = fmt.Sprintf("it ended with code %d: %s", failed.Code, oneLine(failed.Output))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.missing = append(e.missing, what+": "+clip(text, longestReason))
}

// isEnd says whether an error is that of a context that ended.
func isEnd(err, cause error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || strings.HasSuffix(err.Error(), cause.Error())
}

// find notes a likely cause.
func (e *export) find(c Cause) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.findings = append(e.findings, c)
}
