package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kluster-project/kluster/internal/status"
	"github.com/kluster-project/kluster/internal/wait"
	"github.com/kluster-project/kluster/provider"
)

// lifePlan is what a verb does.
type lifePlan struct {
	doing string // "stopping"
	// inTurn says that named nodes go through the steps one after the other.
	inTurn bool
	// away says that nodes are not there meanwhile, or from then on.
	away  bool
	steps []lifeStep
}

// lifeStep is one part of it. A step that is of machines of a kind is left out where none
// of them is.
type lifeStep struct {
	Name, Why string
	of        func(*machine) bool
	run       func(*lifecycle, context.Context, status.Step) error
}

// lifePlans are the verbs.
func lifePlans() map[LifeVerb]lifePlan {
	var (
		resume    = lifeStep{"resume", "what is paused hears nothing, not even that it shall stop", isPaused, silentLife((*lifecycle).resume)}
		down      = lifeStep{"stop", "all at once: who is stopped first does not wait for the others; also what is down, which else may come back with the engine", nil, silentLife((*lifecycle).stop)}
		stop      = lifeStep{"stop", "as down does, where something is up", isUp, silentLife((*lifecycle).stop)}
		start     = lifeStep{"start", "all at once: etcd needs a majority of its members before it answers; with the registries, also of a cluster that runs", nil, silentLife((*lifecycle).start)}
		readiness = lifeStep{"readiness", "each node was heard of since, is Ready, and its API server if it has one", nil, (*lifecycle).waitReady}
		reboot    = lifeStep{"reboot", "by systemd, until the node's first process is another", isUp, (*lifecycle).reboot}
		pause     = lifeStep{"pause", "all at once", isUp, silentLife((*lifecycle).pause)}
	)
	return map[LifeVerb]lifePlan{
		Stop:    {"stopping", false, true, []lifeStep{resume, down}},
		Start:   {"starting", false, false, []lifeStep{resume, start, readiness}},
		Restart: {"restarting", true, true, []lifeStep{resume, stop, start, readiness}},
		Reboot:  {"rebooting", true, true, []lifeStep{resume, reboot, readiness}},
		Pause:   {"pausing", false, true, []lifeStep{pause}},
		Resume:  {"resuming", false, false, []lifeStep{resume, readiness}},
	}
}

func isUp(n *machine) bool     { return n.State == provider.StateRunning }
func isPaused(n *machine) bool { return n.State == provider.StatePaused }
func isDown(n *machine) bool   { return !isUp(n) && !isPaused(n) }

// become notes what a machine is now.
func (n *machine) become(state provider.State) {
	n.State, n.life.Changed = state, true
}

func (l *lifecycle) resume(ctx context.Context) error {
	return l.each(isPaused, func(n *machine) error {
		n.since, n.resumed = time.Now(), true
		if err := l.m.provider.UnpauseNode(ctx, n.ID); err != nil {
			return err
		}
		n.become(provider.StateRunning)
		return nil
	})
}

func (l *lifecycle) pause(ctx context.Context) error {
	return l.each(isUp, func(n *machine) error {
		if err := l.m.provider.PauseNode(ctx, n.ID); err != nil {
			return err
		}
		n.become(provider.StatePaused)
		return nil
	})
}

// stopGrace is how long a node may take to stop before it is killed.
const stopGrace = 20 * time.Second

// stop stops what runs, and what does not: a machine may be down by way of the engine,
// which would start it again when it comes back.
func (l *lifecycle) stop(ctx context.Context) error {
	return l.each(nil, func(n *machine) error {
		if err := l.m.provider.StopNode(ctx, n.ID, stopGrace); err != nil {
			return err
		}
		if isUp(n) {
			n.become(provider.StateStopped)
		}
		return nil
	})
}

// startRegistries starts those that a cluster uses: they are nobody's own, so that no stop
// is about them. Without one the cluster works, but for what is pulled from there.
func (l *lifecycle) startRegistries(ctx context.Context) {
	started, err := l.m.registries().StartFor(ctx, l.opt.Cluster)
	for _, name := range started {
		l.m.reporter.Note("started %s, which did not run", name)
	}
	if err != nil && ctx.Err() == nil {
		l.m.reporter.Note("%v; the cluster starts without it", err)
	}
}

func (l *lifecycle) start(ctx context.Context) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	if len(l.opt.Nodes) == 0 {
		beside.Go(func() { l.startRegistries(ctx) })
	}
	return l.each(isDown, func(n *machine) error {
		n.since = time.Now()
		err := l.m.provider.StartNode(ctx, n.ID)
		if errors.Is(err, provider.ErrPortTaken) {
			return unfitError(err, "%s keeps its port of the host, which something else has taken meanwhile: end that, and try again", n.Name)
		}
		if err != nil {
			return err
		}
		n.become(provider.StateRunning)
		return nil
	})
}

const (
	// rebootPoll is how often it is looked whether a node has begun anew.
	rebootPoll = 500 * time.Millisecond
	// rebootTime is how long the engine may take to start a node that has ended by
	// itself; after that it is started.
	rebootTime = 5 * time.Second
)

// reboot tells systemd to, and waits until it is another's turn: the engine starts what
// ends by itself.
func (l *lifecycle) reboot(ctx context.Context, step status.Step) error {
	return l.each(isUp, func(n *machine) error {
		before, err := l.firstProcess(ctx, n)
		if err != nil {
			return err
		}
		n.since = time.Now()
		err = l.m.provider.Exec(ctx, n.ID, provider.Command{Args: []string{"systemctl", "--no-block", "reboot"}})
		if ended := (*provider.ExecError)(nil); err != nil && (!errors.As(err, &ended) || ended.Code < 128) {
			return err // and not one that the reboot has ended itself
		}
		n.life.Changed = true
		step.Detail(n.Name + " has begun")
		return l.awaitReboot(ctx, n, before)
	})
}

// awaitReboot returns when a node's first process is another than it was.
func (l *lifecycle) awaitReboot(ctx context.Context, n *machine, before string) error {
	var ended time.Time
	for {
		now, err := l.firstProcess(ctx, n)
		if err == nil && now != before {
			return nil
		}
		if err != nil && ended.IsZero() {
			ended = time.Now()
		}
		if err != nil && time.Since(ended) > rebootTime {
			if err := l.m.provider.StartNode(ctx, n.ID); err != nil {
				return err
			}
		}
		if !wait.For(ctx, rebootPoll) {
			return context.Cause(ctx)
		}
	}
}

// firstProcess tells a node's first process from those before it: by when it began, in
// clock ticks of the machine.
func (l *lifecycle) firstProcess(ctx context.Context, n *machine) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var stat bytes.Buffer
	err := l.m.provider.Exec(ctx, n.ID, provider.Command{Args: []string{"cat", "/proc/1/stat"}, Stdout: &stat})
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(stat.String(), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return "", fmt.Errorf("%s: /proc/1/stat has an unknown form", n.Name)
	}
	return fields[19], nil
}

// keepsQuorum sees that etcd is left with a majority of its members, if it has one.
func (l *lifecycle) keepsQuorum(ctx context.Context) error {
	var leaving []string
	for _, n := range l.chosen {
		if isControlPlane(n.Node) && isUp(n) {
			leaving = append(leaving, n.Name)
		}
	}
	if !l.plan.away || len(l.opt.Nodes) == 0 || l.opt.Force || len(leaving) == 0 {
		return nil
	}
	members := slices.DeleteFunc(slices.Clone(l.machines), func(n *machine) bool { return !isControlPlane(n.Node) })
	healthy := l.serving(ctx, members)
	quorum := len(members)/2 + 1
	left := len(slices.DeleteFunc(slices.Clone(healthy), func(name string) bool { return slices.Contains(leaving, name) }))
	if l.plan.inTurn && left < len(healthy) { // one at a time; one that does not serve takes nothing away
		left = len(healthy) - 1
	}
	switch {
	case len(healthy) < quorum || left >= quorum:
		return nil
	case l.plan.inTurn && len(healthy) == len(members):
		l.m.reporter.Note("the API is away until %s is back", strings.Join(leaving, ", "))
		return nil
	}
	return unfitError(
		fmt.Errorf("%s %s leaves %d of %d control planes, and etcd needs %d: the API would be away; nothing was changed",
			l.plan.doing, strings.Join(leaving, ", "), left, len(members), quorum),
		"%s", l.quorumHint(members, healthy))
}

func (l *lifecycle) quorumHint(members []*machine, healthy []string) string {
	hint := fmt.Sprintf("--force does it all the same; kluster stop %s stops the whole cluster", l.opt.Cluster)
	for _, n := range members {
		if !slices.Contains(healthy, n.Name) {
			return fmt.Sprintf("see to %s first, which does not serve; %s", n.Name, hint)
		}
	}
	return hint
}

// serving names the control planes whose API server answers, which asks its etcd.
func (l *lifecycle) serving(ctx context.Context, members []*machine) []string {
	var names []string
	answers := make(chan string, len(members))
	for _, n := range members {
		go func() {
			if isUp(n) && l.ownAPIServes(ctx, n) == nil {
				answers <- n.Name
				return
			}
			answers <- ""
		}()
	}
	for range members {
		if name := <-answers; name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ownAPIServes asks a control plane's own API server, which is ready when its etcd, the
// only one that it asks, has a quorum.
func (l *lifecycle) ownAPIServes(ctx context.Context, n *machine) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return l.m.provider.Exec(ctx, n.ID, provider.Command{
		Args: []string{"kubectl", "--kubeconfig", AdminConf, "--server", ownAPI, "get", "--raw", "/readyz"},
	})
}
