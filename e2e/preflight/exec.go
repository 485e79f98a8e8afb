package preflight

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/distribution/reference"
)

// What a node must have: below least specs fail, below wanted some may.
const (
	gib        = 1 << 30
	leastDisk  = 1 * gib
	wantedDisk = 5 * gib
)

// inotify are limits of the kernel which all containers of a machine share.
var inotify = []struct {
	sysctl string
	wanted int64
}{
	{"fs.inotify.max_user_instances", 512},
	{"fs.inotify.max_user_watches", 65536},
}

// finding is a problem of one node.
type finding struct {
	level Level
	// what is said after the nodes' names.
	what, cause, next string
}

// inspections are what is looked at in each node, in the order it is told.
var inspections = []struct {
	what string
	look func(e *examination, ctx context.Context, node string) ([]finding, error)
}{
	{"images", (*examination).images},
	{"inotify limits", (*examination).inotify},
	{"disk", (*examination).disk},
}

// inNodes looks into all nodes at once. What is wrong with several in the same way
// is one problem.
func (e *examination) inNodes(ctx context.Context) []Problem {
	if e.Exec == nil {
		return nil
	}
	found := make([][]finding, len(e.nodes))
	var group sync.WaitGroup
	for i, n := range e.nodes {
		if notReady(n) == "" {
			group.Go(func() { found[i] = e.inspect(ctx, n.Name) })
		}
	}
	group.Wait()
	nodes := map[finding][]string{}
	var order []finding
	for i, n := range e.nodes {
		for _, f := range found[i] {
			if nodes[f] == nil {
				order = append(order, f)
			}
			nodes[f] = append(nodes[f], n.Name)
		}
	}
	var problems []Problem
	for _, f := range order {
		problems = append(problems, Problem{f.level, strings.Join(nodes[f], ", ") + ": " + f.what, f.cause, f.next})
	}
	return problems
}

func (e *examination) inspect(ctx context.Context, node string) []finding {
	asking, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %s", patience))
	defer cancel()
	var all []finding
	for _, i := range inspections {
		found, err := i.look(e, asking, node)
		if err != nil && ctx.Err() == nil {
			found = []finding{{Warning, i.what + " could not be looked at", oneLine(err), "see that the node answers: kluster exec NODE -- true"}}
		}
		all = append(all, found...)
	}
	return all
}

func (e *examination) output(ctx context.Context, node string, argv ...string) ([]byte, error) {
	var out bytes.Buffer
	if err := e.Exec(ctx, node, argv, &out); err != nil {
		return nil, fmt.Errorf("running %s: %w", argv[0], err)
	}
	return out.Bytes(), nil
}

// images asks the runtime itself: the API's list of a node's images is cut.
func (e *examination) images(ctx context.Context, node string) ([]finding, error) {
	if len(e.Images) == 0 {
		return nil, nil
	}
	out, err := e.output(ctx, node, "crictl", "images", "--output", "json")
	if err != nil {
		return nil, err
	}
	held, err := parseImages(out)
	if err != nil {
		return nil, err
	}
	missing := lacking(e.Images, held)
	if len(missing) == 0 {
		return nil, nil
	}
	return []finding{{
		Error, fmt.Sprintf("%d of %d images of the suite are not there", len(missing), len(e.Images)), strings.Join(missing, ", "),
		"load them (kluster load --archive FILE), or use a node image that holds them: kluster build node-image --conformance",
	}}, nil
}

// parseImages gives the references in the answer of "crictl images".
func parseImages(data []byte) ([]string, error) {
	var answer struct {
		Images []struct {
			RepoTags, RepoDigests []string
		} `json:"images"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("reading the runtime's list of images: %w", err)
	}
	var held []string
	for _, i := range answer.Images {
		held = append(append(held, i.RepoTags...), i.RepoDigests...)
	}
	return held, nil
}

// lacking are the wanted references that are not held, by whatever short form.
func lacking(wanted, held []string) []string {
	in := map[string]bool{}
	for _, ref := range held {
		in[full(ref)] = true
	}
	var missing []string
	for _, ref := range wanted {
		if !in[full(ref)] {
			missing = append(missing, ref)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// full is a reference with registry and tag.
func full(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.TagNameOnly(named).String()
}

func (e *examination) inotify(ctx context.Context, node string) ([]finding, error) {
	argv := []string{"sysctl", "--values"}
	for _, limit := range inotify {
		argv = append(argv, limit.sysctl)
	}
	out, err := e.output(ctx, node, argv...)
	if err != nil {
		return nil, err
	}
	values := strings.Fields(string(out))
	if len(values) != len(inotify) {
		return nil, fmt.Errorf("sysctl said %q", out)
	}
	var found []finding
	for i, limit := range inotify {
		value, err := strconv.ParseInt(values[i], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", limit.sysctl, err)
		}
		if value < limit.wanted {
			found = append(found, finding{
				Warning, fmt.Sprintf("%s is %d", limit.sysctl, value), "kubelets and pods of many specs at once run out of it",
				fmt.Sprintf("sysctl -w %s=%d on the machine that runs the nodes", limit.sysctl, 8*limit.wanted),
			})
		}
	}
	return found, nil
}

func (e *examination) disk(ctx context.Context, node string) ([]finding, error) {
	if len(e.Folders) == 0 {
		return nil, nil
	}
	out, err := e.output(ctx, node, append([]string{"df", "--block-size=1", "--output=avail"}, e.Folders...)...)
	if err != nil {
		return nil, err
	}
	// A title, then a line per folder.
	lines := strings.Fields(string(out))
	if len(lines) != len(e.Folders)+1 {
		return nil, fmt.Errorf("df said %q", out)
	}
	var found []finding
	for i, folder := range e.Folders {
		free, err := strconv.ParseInt(lines[i+1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading what is free below %s: %w", folder, err)
		}
		if free >= wantedDisk {
			continue
		}
		f := finding{
			Warning, fmt.Sprintf("%.1f GiB are free below %s", float64(free)/gib, folder),
			fmt.Sprintf("specs write images, logs and volumes there: %d GiB do for a whole run", wantedDisk/gib), "make room on the machine that runs the nodes",
		}
		if free < leastDisk {
			f.level = Error
		}
		found = append(found, f)
	}
	return found, nil
}
