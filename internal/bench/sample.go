package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/wait"
)

// cluster is one cluster that is being measured.
type cluster struct {
	*run
	tool       Tool
	shape      Case
	name       string
	kubeconfig string
}

// cleanTime bounds the removal of a cluster; it has a context of its own, since
// the measurement's may have ended.
const cleanTime = 3 * time.Minute

// settleTime is how long after the tool's end a cluster may take to be usable.
const settleTime = 3 * time.Minute

var errNotUsable = fmt.Errorf("it was not usable %s after the tool had returned", settleTime)

// measure makes a cluster, waits until it is usable, lets it idle, weighs it and
// deletes it. Whatever happens, nothing of it stays.
func (r *run) measure(ctx context.Context, tool Tool, shape Case, round int) Sample {
	c := r.newCluster(tool, shape, shape.cluster(tool.Name))
	s := c.newSample(round)
	c.live(ctx, &s, func() error {
		if err := c.weigh(ctx, &s); err != nil {
			return err
		}
		return c.addWorker(ctx, &s)
	})
	return s
}

func (r *run) newCluster(tool Tool, shape Case, name string) *cluster {
	return &cluster{run: r, tool: tool, shape: shape, name: name, kubeconfig: filepath.Join(r.temp, name+".kubeconfig")}
}

func (c *cluster) newSample(round int) Sample {
	return Sample{Round: round, Tool: c.tool.Name, Case: c.shape.Name, Load: load()}
}

// live makes the cluster, does something with it when it is usable and deletes it.
// What fails is in the sample; nothing of the cluster stays.
func (c *cluster) live(ctx context.Context, s *Sample, do func() error) {
	err := c.gone(ctx)
	if err == nil {
		if err = c.create(ctx, s); err == nil {
			err = do()
		}
		err = errors.Join(err, c.delete(ctx, s, err == nil))
	}
	if err != nil {
		s.Error = err.Error()
	}
}

// gone sees that the name is free.
func (c *cluster) gone(ctx context.Context) error {
	left, err := c.engine.Containers(ctx, c.tool.ClusterLabel, c.name)
	if err != nil || len(left) == 0 {
		return err
	}
	return fmt.Errorf("a cluster %q is there already: delete it first", c.name)
}

// create fills in the times and processor seconds of a create.
func (c *cluster) create(ctx context.Context, s *Sample) error {
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	both, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	both.Go(func() error {
		saw, err := c.observer().watch(ctx, c.shape.Nodes())
		s.Kubelet = saw.kubelet
		s.APISeconds = since(began, saw.api)
		s.ReadySeconds = since(began, saw.ready)
		if err != nil {
			return fmt.Errorf("watching: %w", err)
		}
		s.UsableSeconds = since(began, saw.usable())
		all, err := c.use(ctx)
		for _, u := range all {
			s.CPUSeconds += u.CPU.Seconds()
		}
		return err
	})
	var tool Outcome
	both.Go(func() (err error) {
		if tool, err = c.call(ctx, c.tool.Create(c.shape, c.name, c.kubeconfig)); err == nil {
			s.ReturnedSeconds = tool.Took.Seconds()
			late := time.AfterFunc(settleTime, func() { giveUp(errNotUsable) })
			context.AfterFunc(ctx, func() { late.Stop() })
		}
		return err
	})
	if err := both.Wait(); err != nil {
		return err
	}
	s.ToolCPUSeconds = tool.CPU.Seconds()
	s.CPUSeconds += s.ToolCPUSeconds
	return nil
}

func since(began, at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return at.Sub(began).Seconds()
}

// call runs the tool against the bench's engine.
func (c *cluster) call(ctx context.Context, cmd Command) (Outcome, error) {
	cmd.Env = append(cmd.Env, c.opt.Env...)
	return c.exec(ctx, cmd)
}

func (r *run) newObserver(tool Tool, name string) *observer {
	return &observer{engine: r.engine, tool: tool, cluster: name, every: pollEvery, readLog: r.readLog, connect: r.connect}
}

func (c *cluster) observer() *observer { return c.newObserver(c.tool, c.name) }

// use reads the counters of all containers of the cluster, by their IDs.
func (c *cluster) use(ctx context.Context) (map[string]Use, error) {
	containers, err := c.engine.Containers(ctx, c.tool.ClusterLabel, c.name)
	if err != nil {
		return nil, err
	}
	all := make([]Use, len(containers))
	group, ctx := errgroup.WithContext(ctx)
	for i, x := range containers {
		group.Go(func() (err error) {
			all[i], err = c.engine.Use(ctx, x)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("reading what the containers used: %w", err)
	}
	byID := map[string]Use{}
	for i, x := range containers {
		byID[x.ID] = all[i]
	}
	return byID, nil
}

// weigh fills in memory and disk of the cluster after it has idled.
func (c *cluster) weigh(ctx context.Context, s *Sample) error {
	if !wait.For(ctx, c.opt.Idle) {
		return context.Cause(ctx)
	}
	use, err := c.use(ctx)
	if err != nil {
		return err
	}
	containers, err := c.engine.Containers(ctx, c.tool.ClusterLabel, c.name)
	if err != nil {
		return err
	}
	for _, x := range containers {
		disk, err := c.engine.Disk(ctx, x)
		if err != nil {
			return fmt.Errorf("measuring the disk of %s: %w", x.Name, err)
		}
		memory := use[x.ID].WorkingSet
		s.MemoryBytes += memory
		s.Containers = append(s.Containers, ContainerUse{
			Name: x.Name, Role: x.Labels[c.tool.RoleLabel], MemoryBytes: memory, DiskBytes: disk,
		})
	}
	return nil
}

// addWorker fills in the time to one more Ready worker, if the tool has a verb
// for that. It is measured on the smallest cluster.
func (c *cluster) addWorker(ctx context.Context, s *Sample) error {
	if c.tool.AddWorker == nil || c.shape.Nodes() != 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	o := c.observer()
	client, err := o.reach(ctx)
	if err != nil {
		return err
	}
	both, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	both.Go(func() error {
		at, _, err := o.nodesReady(ctx, client, c.shape.Nodes()+1)
		s.AddSeconds = since(began, at)
		return err
	})
	both.Go(func() error {
		_, err := c.call(ctx, c.tool.AddWorker(c.name, c.kubeconfig))
		return err
	})
	return both.Wait()
}

// delete deletes the cluster, and fills in how long that took if it was whole.
// What the tool leaves behind is an error, and is removed.
func (c *cluster) delete(ctx context.Context, s *Sample, whole bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	out, err := c.call(ctx, c.tool.Delete(c.name, c.kubeconfig))
	if err == nil && whole {
		s.DeleteSeconds = out.Took.Seconds()
	}
	if left := c.gone(ctx); left != nil && err == nil {
		err = fmt.Errorf("after delete: %w", left)
	}
	return errors.Join(err, c.engine.Purge(ctx, c.tool.ClusterLabel, c.name))
}
