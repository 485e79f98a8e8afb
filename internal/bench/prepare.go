package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Wanted says which programs to measure.
type Wanted struct {
	Kluster string
	// AddWorker are the words of kluster's verb that adds a worker; see Kluster.
	AddWorker string
	// Kind and KindImage are "" when kind is not to be measured. KindProbe may be
	// "" with them.
	Kind, KindImage, KindProbe string
	// Env are variables of every tool's process, "K=V".
	Env []string
	// Talk is where progress goes.
	Talk io.Writer
}

// Prepare sees that images are there, which is all that is made before a clock
// runs, and gives the tools and a report that says what they are.
func Prepare(ctx context.Context, engine Engine, exec Runner, w Wanted) (*Report, []Tool, error) {
	r, err := newReport(ctx, engine)
	if err != nil {
		return nil, nil, err
	}
	kluster, err := r.prepareKluster(ctx, engine, exec, w)
	if err != nil {
		return nil, nil, err
	}
	tools := []Tool{kluster}
	if w.Kind == "" {
		r.KindNote = "not measured in this run: recorded figures stand in, from another machine with 2 cores"
		return r, tools, nil
	}
	kind, err := r.prepareKind(ctx, engine, exec, w)
	if err != nil {
		return nil, nil, err
	}
	return r, append(tools, kind), nil
}

func newReport(ctx context.Context, engine Engine) (*Report, error) {
	machine, err := engine.Machine(ctx)
	if err != nil {
		return nil, err
	}
	return &Report{Form: reportForm, Date: time.Now().UTC().Truncate(time.Second), Machine: machine.withCPU()}, nil
}

func (r *Report) prepareKluster(ctx context.Context, engine Engine, exec Runner, w Wanted) (Tool, error) {
	program, err := r.klusterProgram(ctx, exec, w)
	if err != nil {
		return Tool{}, err
	}
	ref, err := builtImage(ctx, exec, w, program)
	if err != nil {
		return Tool{}, err
	}
	img, err := findImage(ctx, engine, ref)
	if err != nil {
		return Tool{}, err
	}
	probe, err := img.preloaded(probeImages)
	if err != nil {
		return Tool{}, err
	}
	r.ImageBytes, r.Versions.Image, r.Versions.Kubernetes = img.Size, ref, img.Labels[nodespec.LabelKubernetes]
	return Kluster(program, ref, probe, w.AddWorker), nil
}

// klusterProgram is kluster's path; the report gets what it says it was built of.
func (r *Report) klusterProgram(ctx context.Context, exec Runner, w Wanted) (string, error) {
	program, err := filepath.Abs(w.Kluster)
	if err != nil {
		return "", err
	}
	out, err := exec(ctx, Command{Program: program, Args: []string{"version", "--output", "json"}, Env: w.Env})
	if err != nil {
		return "", err
	}
	var build struct{ Version, Commit string }
	if err := json.Unmarshal([]byte(out.Stdout), &build); err != nil {
		return "", fmt.Errorf("reading what kluster version printed: %w", err)
	}
	r.Commit, r.Versions.Kluster = build.Commit, build.Version
	return program, nil
}

// builtImage is the name of the node image that a create will take; it is made if
// it is not there.
func builtImage(ctx context.Context, exec Runner, w Wanted, program string, flags ...string) (string, error) {
	args := append([]string{"build", "node-image"}, flags...)
	out, err := exec(ctx, Command{Program: program, Args: args, Env: w.Env, Talk: w.Talk})
	return strings.TrimSpace(out.Stdout), err
}

// nodeImage is a node image of kluster's with what it says it holds.
type nodeImage struct {
	Image
	ref   string
	holds nodespec.Manifest
}

func findImage(ctx context.Context, engine Engine, ref string) (nodeImage, error) {
	img, err := engine.Image(ctx, ref)
	if err != nil {
		return nodeImage{}, err
	}
	n := nodeImage{Image: img, ref: ref}
	if err := json.Unmarshal([]byte(img.Labels[nodespec.LabelManifest]), &n.holds); err != nil {
		return nodeImage{}, fmt.Errorf("image %s: reading its manifest: %w", ref, err)
	}
	return n, nil
}

// preloaded is the first preloaded image whose name has one of the parts.
func (n nodeImage) preloaded(parts []string) (string, error) {
	for _, part := range parts {
		for _, record := range n.holds.Images {
			if strings.Contains(record.Ref, part) {
				return record.Ref, nil
			}
		}
	}
	return "", fmt.Errorf("image %s: it holds none of %s", n.ref, strings.Join(parts, ", "))
}

func (r *Report) prepareKind(ctx context.Context, engine Engine, exec Runner, w Wanted) (Tool, error) {
	out, err := exec(ctx, Command{Program: w.Kind, Args: []string{"version"}, Env: w.Env})
	if err != nil {
		return Tool{}, err
	}
	img, err := engine.Image(ctx, w.KindImage)
	if err != nil {
		return Tool{}, fmt.Errorf("kind's node image: %w", err)
	}
	r.KindImageBytes = img.Size
	r.Versions.Kind, r.Versions.KindImage = strings.TrimSpace(out.Stdout), w.KindImage
	return Kind(w.Kind, w.KindImage, w.KindProbe), nil
}
