package bench

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// load loads an image that the engine has, or the file holds, in one way.
func (c *loadCluster) load(ctx context.Context, way LoadWay, ref, file string, l *Loading) error {
	switch way {
	case WayWhole:
		return c.loadWhole(ctx, ref, l)
	case WayCounted:
		return c.loadCounted(ctx, ref, l)
	case WayArchive:
		return c.loadBy(ctx, c.tool.Load(c.name, file), l)
	}
	return c.loadBy(ctx, c.tool.LoadImage(c.name, ref), l)
}

func (c *loadCluster) loadBy(ctx context.Context, cmd Command, l *Loading) error {
	out, err := c.call(ctx, cmd)
	l.Seconds = out.Took.Seconds()
	return err
}

// loadWhole does what kind does: "docker save" to a temporary file, which is then
// given to an import in every node, all at once.
func (c *loadCluster) loadWhole(ctx context.Context, ref string, l *Loading) error {
	nodes, err := c.nodes(ctx)
	if err != nil {
		return err
	}
	file := filepath.Join(c.temp, "saved.tar")
	began := time.Now()
	saved, err := c.call(ctx, Command{Program: "docker", Args: []string{"save", "-o", file, ref}})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error {
			_, err := c.call(ctx, Command{Program: "docker", Args: append([]string{"exec", "-i", n.Name}, c.tool.Whole...), Input: file})
			return err
		})
	}
	err = g.Wait()
	l.Seconds, l.SaveSeconds = time.Since(began).Seconds(), saved.Took.Seconds()
	return err
}

// loadCounted counts what the node gets that gets most.
func (c *loadCluster) loadCounted(ctx context.Context, ref string, l *Loading) (err error) {
	meter, err := c.loads.meter(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, meter.Close()) }()
	cmd := c.tool.LoadImage(c.name, ref)
	cmd.Env = slices.Concat(cmd.Env, c.opt.Env, meter.Env())
	if _, err := c.exec(ctx, cmd); err != nil {
		return err
	}
	sent, err := meter.Sent(ctx)
	for _, n := range sent {
		l.SentBytes = max(l.SentBytes, n)
	}
	if err == nil && l.SentBytes == 0 {
		err = errors.New("no bytes were counted")
	}
	return err
}
