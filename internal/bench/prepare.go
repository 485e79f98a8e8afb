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
	r := &Report{Form: reportForm, Date: time.Now().UTC().Truncate(time.Second)}
	machine, err := engine.Machine(ctx)
	if err != nil {
		return nil, nil, err
	}
	r.Machine = machine.withCPU()
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

func (r *Report) prepareKluster(ctx context.Context, engine Engine, exec Runner, w Wanted) (Tool, error) {
	program, err := filepath.Abs(w.Kluster)
	if err != nil {
		return Tool{}, err
	}
	out, err := exec(ctx, Command{Program: program, Args: []string{"version", "--output", "json"}, Env: w.Env})
	if err != nil {
		return Tool{}, err
	}
	var build struct{ Version, Commit string }
	if err := json.Unmarshal([]byte(out.Stdout), &build); err != nil {
		return Tool{}, fmt.Errorf("reading what kluster version printed: %w", err)
	}
	// Says the name of the image that create will take, and makes it if it is not there.
	out, err = exec(ctx, Command{Program: program, Args: []string{"build", "node-image"}, Env: w.Env, Talk: w.Talk})
	if err != nil {
		return Tool{}, err
	}
	ref := strings.TrimSpace(out.Stdout)
	img, err := engine.Image(ctx, ref)
	if err != nil {
		return Tool{}, err
	}
	probe, err := klusterProbe(img)
	if err != nil {
		return Tool{}, fmt.Errorf("image %s: %w", ref, err)
	}
	r.Commit, r.ImageBytes = build.Commit, img.Size
	r.Versions.Kluster, r.Versions.Image = build.Version, ref
	r.Versions.Kubernetes = img.Labels[nodespec.LabelKubernetes]
	return Kluster(program, ref, probe, w.AddWorker), nil
}

// klusterProbe is the preloaded image that the probe runs.
func klusterProbe(img Image) (string, error) {
	var m nodespec.Manifest
	if err := json.Unmarshal([]byte(img.Labels[nodespec.LabelManifest]), &m); err != nil {
		return "", fmt.Errorf("reading its manifest: %w", err)
	}
	for _, part := range probeImages {
		for _, record := range m.Images {
			if strings.Contains(record.Ref, part) {
				return record.Ref, nil
			}
		}
	}
	return "", fmt.Errorf("it holds none of %s", strings.Join(probeImages, ", "))
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
