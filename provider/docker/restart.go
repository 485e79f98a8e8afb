package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/kluster-project/kluster/provider"
)

// restartLabel is on a container whose restart policy goes with what it shall be, up or
// down. One that an earlier kluster has made lacks it, and keeps the policy that it has.
const restartLabel = "io.kluster.docker.restart"

// Restart policies of a container with that label.
//
// An engine that was killed while its containers ran on stops them at its next start and
// takes that for a stop on purpose: only "always" has them back. But "always" has back
// also what was stopped on purpose, so that this gets another policy. It is not "no": who
// starts it by way of the engine has one that comes back after a crash nevertheless.
const (
	policyUp   = container.RestartPolicyAlways
	policyDown = container.RestartPolicyUnlessStopped
)

// policyTime bounds the change of the policy of what has been stopped, which is made also
// if nobody waits for it any more.
const policyTime = 10 * time.Second

// setPolicy gives a container that is down the policy of what it shall be. One that runs
// is not touched: to change it would be to write the limits of its processes anew.
func (p *Provider) setPolicy(ctx context.Context, id string, policy container.RestartPolicyMode) error {
	c, err := p.api.ContainerInspect(ctx, id)
	if err != nil {
		return explain(err)
	}
	if !lacksPolicy(c, policy) {
		return nil
	}
	_, err = p.api.ContainerUpdate(ctx, c.ID, container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: policy}})
	return explain(err)
}

// lacksPolicy says whether a container is to be given a policy, and can be. A policy that
// is neither of the two is what somebody has chosen for it.
func lacksPolicy(c container.InspectResponse, policy container.RestartPolicyMode) bool {
	if c.Config == nil || c.HostConfig == nil || c.State == nil {
		return false
	}
	has, going := c.HostConfig.RestartPolicy.Name, c.State.Status == container.StateRemoving || c.State.Dead
	_, ours := c.Config.Labels[restartLabel]
	return ours && has != policy && (has == policyUp || has == policyDown) && !c.State.Running && !going
}

// keepDown lets the engine leave a container down that was stopped. It is done after the
// stop, and not before: whatever comes between, no container runs without its policy.
func (p *Provider) keepDown(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), policyTime)
	defer cancel()
	err := p.setPolicy(ctx, id, policyDown)
	if err == nil || errors.Is(err, provider.ErrNotFound) {
		return nil // what has gone does not come back
	}
	return fmt.Errorf("it is down, but comes back with the engine until it is stopped once more: %w", err)
}
