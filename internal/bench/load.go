package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/kluster-project/kluster/internal/wait"
)

// LoadSettings are what was loaded, and into what.
type LoadSettings struct {
	Runtimes []string `json:"runtimes"`
	// Images are the node images by container runtime.
	Images map[string]string `json:"images"`
	Nodes  int               `json:"nodes"`
	// Layers are so many of LayerMB 10^6 bytes each that cannot be compressed; the
	// one above them, of SmallBytes, is what changes.
	Layers     int `json:"layers"`
	LayerMB    int `json:"layerMB"`
	SmallBytes int `json:"smallBytes"`
}

// LoadWay is a way to bring an image into all nodes of a cluster.
type LoadWay string

// The ways.
const (
	// WayWhole saves the image and has every node import all of it, as kind does.
	WayWhole LoadWay = "whole"
	// WayEngine is "kluster load" of an image of the engine, WayArchive of a file.
	WayEngine  LoadWay = "engine"
	WayArchive LoadWay = "archive"
	// WayCounted is WayEngine through a meter, which takes time of its own.
	WayCounted LoadWay = "counted"
)

// timedWays are those whose times are compared.
var timedWays = []LoadWay{WayWhole, WayEngine, WayArchive}

// LoadSample is one image that was loaded in one way, and again when its small layer
// had changed. What was not reached is 0.
type LoadSample struct {
	Round   int     `json:"round"`
	Runtime string  `json:"runtime"`
	Way     LoadWay `json:"way"`
	Load    float64 `json:"load"` // of the machine before the start
	First   Loading `json:"first"`
	Again   Loading `json:"again"`
	Error   string  `json:"error,omitempty"`
}

// Loading is one load.
type Loading struct {
	Seconds float64 `json:"seconds,omitempty"`
	// SaveSeconds are those of Seconds in which the engine saved the image to a file.
	SaveSeconds float64 `json:"saveSeconds,omitempty"`
	// SentBytes is what went to the node that got most, MissingBytes what its missing
	// layers come to.
	SentBytes    int64 `json:"sentBytes,omitempty"`
	MissingBytes int64 `json:"missingBytes,omitempty"`
}

// The image that is loaded.
const (
	loadLayers     = 5
	loadSmallBytes = 1024
	loadRepository = "bench.kluster.dev/load-"
)

// loadShape is the shape of every cluster that is loaded into.
var loadShape = Cases[1]

// loadRun is a run that measures loads.
type loadRun struct {
	*run
	tools   []RuntimeTool
	layerMB int
	meter   func(ctx context.Context) (Meter, error)
	// made counts the images, none of which is like another.
	made uint64
}

// Meter is a way to the engine on which what goes to commands in containers is
// counted.
type Meter interface {
	// Env are the variables that lead a tool there, "K=V".
	Env() []string
	// Sent is what commands were sent so far, in bytes by the container's ID.
	Sent(ctx context.Context) (map[string]int64, error)
	Close() error
}

// RunLoads measures loads with every container runtime on a cluster of three nodes
// that is made for it, all in turns, and adds what it measured to the report of
// PrepareRuntimes. The report is good for as far as the run came, also with an error.
func RunLoads(ctx context.Context, engine Engine, tools []RuntimeTool, layerMB int, opt Options, report *Report) (err error) {
	if layerMB < 1 {
		return errors.New("a layer must have at least 1 MB")
	}
	r := &loadRun{run: newRun(engine, opt, report), tools: tools, layerMB: layerMB, meter: engine.Meter}
	set := &LoadSettings{
		Images: report.Settings.Runtimes.Images, Nodes: loadShape.Nodes(), Layers: loadLayers, LayerMB: layerMB, SmallBytes: loadSmallBytes,
	}
	for _, t := range tools {
		set.Runtimes = append(set.Runtimes, t.Pair.Runtime)
	}
	report.Settings = Settings{Rounds: opt.Rounds, IdleSeconds: opt.Idle.Seconds(), Load: set}
	if r.temp, err = os.MkdirTemp("", "kluster-bench-"); err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer os.RemoveAll(r.temp)
	return r.rounds(ctx)
}

// rounds goes over all runtimes again and again. On each cluster all ways take turns,
// another one first each time.
func (r *loadRun) rounds(ctx context.Context) error {
	for round := 1; round <= r.opt.Rounds; round++ {
		for _, t := range r.tools {
			r.cluster(ctx, t, round)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return context.Cause(ctx)
}

// cluster makes a cluster, loads into it in all ways and deletes it.
func (r *loadRun) cluster(ctx context.Context, t RuntimeTool, round int) {
	c := &loadCluster{cluster: r.newCluster(t.Tool, loadShape, Prefix+"load-"+t.Pair.Runtime), loads: r, tool: t}
	s := c.newSample(round)
	c.live(ctx, &s, func() error { return c.ways(ctx, round) })
	if s.Error != "" {
		r.add(LoadSample{Round: round, Runtime: t.Pair.Runtime, Error: s.Error})
	}
}

func (r *loadRun) add(s LoadSample) {
	r.report.Loads = append(r.report.Loads, s)
	r.say("round %d of %d, %s, %s: %s", s.Round, r.opt.Rounds, s.Runtime, s.Way,
		result(s.Error, "first %.2f s, again %.2f s, sent %d and %d bytes", s.First.Seconds, s.Again.Seconds, s.First.SentBytes, s.Again.SentBytes))
}

// loadCluster is a cluster that is loaded into.
type loadCluster struct {
	*cluster
	loads *loadRun
	tool  RuntimeTool
}

func (c *loadCluster) ways(ctx context.Context, round int) error {
	n := (round - 1) % len(timedWays)
	for _, way := range append(slices.Concat(timedWays[n:], timedWays[:n]), WayCounted) {
		s := LoadSample{Round: round, Runtime: c.tool.Pair.Runtime, Way: way}
		if err := c.way(ctx, &s); err != nil {
			s.Error = err.Error()
		}
		c.loads.add(s)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// way loads an image that is nowhere yet, and then the changed one.
func (c *loadCluster) way(ctx context.Context, s *LoadSample) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	c.loads.made++
	var refs []string
	defer func() { err = errors.Join(err, c.forget(context.WithoutCancel(ctx), refs)) }()
	for version, l := range []*Loading{&s.First, &s.Again} {
		img := loadImage(c.loads.made, c.loads.layerMB, version)
		refs = append(refs, img.ref)
		file, err := c.make(ctx, s.Way, img, version, l)
		if err != nil {
			return err
		}
		// What was written before is on the disk when the clock starts, and all is quiet.
		syscall.Sync()
		if !wait.For(ctx, c.opt.Idle) {
			return context.Cause(ctx)
		}
		if version == 0 {
			s.Load = load()
		}
		if err := c.load(ctx, s.Way, img.ref, file, l); err != nil {
			return err
		}
	}
	return c.check(ctx, refs)
}

// loadImage is an image of large layers, and on them a small one that is another in
// each version.
func loadImage(number uint64, layerMB, version int) madeImage {
	img := madeImage{ref: fmt.Sprintf("%s%d:%d", loadRepository, number, version+1)}
	const seeds = 100 // more than one image takes
	for i := range loadLayers {
		img.layers = append(img.layers, madeLayer{seed: number*seeds + uint64(i), files: layerMB, size: megabyte})
	}
	return withSmall(img, number*seeds+loadLayers+uint64(version))
}

func withSmall(img madeImage, seed uint64) madeImage {
	img.layers = append(img.layers, madeLayer{seed: seed, files: 1, size: loadSmallBytes})
	return img
}

// make puts the image where the way takes it from, and fills in what nodes lack of it.
func (c *loadCluster) make(ctx context.Context, way LoadWay, img madeImage, version int, l *Loading) (file string, err error) {
	if version > 0 && way != WayArchive {
		img.had = loadLayers // the engine has them
	}
	file = filepath.Join(c.temp, "image.tar")
	if _, err := img.writeFile(file); err != nil {
		return "", err
	}
	sizes := img.sizes()
	if version > 0 {
		sizes = sizes[loadLayers:]
	}
	for _, n := range sizes {
		l.MissingBytes += n
	}
	if way != WayArchive {
		err = c.engine.LoadImage(ctx, file)
	}
	return file, err
}

// forget removes images from nodes and engine; the next way must not find them.
func (c *loadCluster) forget(ctx context.Context, refs []string) error {
	containers, err := c.nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range containers {
		_, _ = c.call(ctx, c.tool.Forget(c.name, n.Name, refs)) // it may have none of them
	}
	for _, ref := range refs {
		err = errors.Join(err, c.engine.RemoveImage(ctx, ref))
	}
	return err
}

// nodes are the containers that run pods.
func (c *loadCluster) nodes(ctx context.Context) ([]Container, error) {
	all, err := c.engine.Containers(ctx, c.tool.ClusterLabel, c.name)
	all = slices.DeleteFunc(all, func(x Container) bool {
		return !slices.Contains([]string{roleControlPlane, roleWorker}, x.Labels[c.tool.RoleLabel])
	})
	if err == nil && len(all) != loadShape.Nodes() {
		err = fmt.Errorf("%d nodes run, want %d", len(all), loadShape.Nodes())
	}
	return all, err
}

// check sees that all nodes have the images.
func (c *loadCluster) check(ctx context.Context, refs []string) error {
	containers, err := c.nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range containers {
		for _, ref := range refs {
			if _, err := c.call(ctx, c.tool.Has(c.name, n.Name, ref)); err != nil {
				return fmt.Errorf("%s lacks %s: %w", n.Name, ref, err)
			}
		}
	}
	return nil
}
