package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	nodeimage "github.com/kluster-project/kluster/node-image"
	"github.com/kluster-project/kluster/provider"
)

// sandboxRepository is where the images of throw-away machines are tagged; the
// tags go when the run ends.
const sandboxRepository = "kluster/sandbox"

// sandbox runs parts of an image build in throw-away machines of a provider.
type sandbox struct{ provider provider.Provider }

var _ nodeimage.Sandbox = sandbox{}

// Run implements nodeimage.Sandbox.
func (s sandbox) Run(ctx context.Context, r nodeimage.SandboxRun) (err error) {
	ref, err := s.load(ctx, r.Image)
	if err != nil {
		return fmt.Errorf("preparing a machine for %s: %w", r.Name, err)
	}
	labels := buildLabels()
	spec := provider.NodeSpec{
		Name: fmt.Sprintf("kluster-build-%s-%d", r.Name, time.Now().UnixNano()), Image: ref, Labels: labels,
		Command: []string{"sleep", "infinity"}, System: r.System, Volumes: r.Volumes,
		NoNetwork: true, // nothing in it downloads
	}
	for host, path := range r.Mounts {
		spec.Mounts = append(spec.Mounts, provider.Mount{HostPath: host, Path: path, ReadOnly: true})
	}
	// Before the call: one that is interrupted may have made it all the same.
	defer func() { err = errors.Join(err, s.clean(ctx, labels, ref)) }()
	node, err := s.provider.CreateNode(ctx, spec)
	if err != nil {
		return err
	}
	return s.runIn(ctx, node, r)
}

func (s sandbox) load(ctx context.Context, img v1.Image) (string, error) {
	digest, err := img.ConfigName()
	if err != nil {
		return "", fmt.Errorf("naming its image: %w", err)
	}
	ref := sandboxRepository + ":" + digest.Hex[:12]
	return ref, s.provider.LoadImage(ctx, ref, img, nil)
}

func (s sandbox) runIn(ctx context.Context, node provider.Node, r nodeimage.SandboxRun) error {
	if r.Inputs != nil {
		if err := s.provider.CopyTo(ctx, node.ID, "/", r.Inputs); err != nil {
			return err
		}
	}
	if err := s.provider.StartNode(ctx, node.ID); err != nil {
		return err
	}
	// With a log both streams go there; without, the error keeps the tail.
	cmd := provider.Command{Args: r.Args, Env: r.Env, Stdout: r.Log, Stderr: r.Log}
	if err := s.provider.Exec(ctx, node.ID, cmd); err != nil {
		return err
	}
	for path, w := range r.Outputs {
		if err := s.take(ctx, node, path, w); err != nil {
			return err
		}
	}
	return nil
}

func (s sandbox) take(ctx context.Context, node provider.Node, path string, w io.Writer) error {
	out, err := s.provider.CopyFrom(ctx, node.ID, path)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(w, out); err != nil {
		return fmt.Errorf("reading %s of %s: %w", path, node.Name, err)
	}
	return nil
}

// clean removes the machine and its image's tag, also when ctx has ended.
func (s sandbox) clean(ctx context.Context, sel provider.Selector, ref string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	if err := s.provider.Remove(ctx, sel); err != nil {
		return err
	}
	return s.provider.RemoveImage(ctx, ref)
}
