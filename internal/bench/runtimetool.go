package bench

import (
	"slices"

	"github.com/kluster-project/kluster/internal/cri"
)

// RuntimeTool is kluster as it makes clusters of one pair.
type RuntimeTool struct {
	Tool
	Pair Pair
	// PodImage is a preloaded image with a shell, as small as there is.
	PodImage string
	// Load imports an archive into all nodes of a cluster, Has fails unless the
	// container runtime of a node has an image.
	Load func(cluster, archive string) Command
	Has  func(cluster, node, image string) Command
}

// podImages are parts of names of images for pods that only wait, smallest first.
var podImages = []string{"/busybox:", "/agnhost:"}

// withPair is a tool that is kluster, for clusters of one pair. image is the node
// image to name in a create, "" for the one that kluster takes.
func (t Tool) withPair(p Pair, image, podImage string) (RuntimeTool, error) {
	runtime, err := cri.Get(p.Runtime)
	if err != nil {
		return RuntimeTool{}, err
	}
	words := []string{"--runtime", p.Runtime, "--oci-runtime", p.OCI}
	if image != "" {
		words = append(words, "--image", image)
	}
	create := t.Create
	t.Create = func(c Case, cluster, kubeconfig string) Command {
		cmd := create(c, cluster, kubeconfig)
		cmd.Args = append(cmd.Args, words...)
		return cmd
	}
	return RuntimeTool{
		Tool: t, Pair: p, PodImage: podImage,
		Load: func(cluster, archive string) Command {
			return Command{Program: t.Program, Args: []string{"load", "--cluster", cluster, "--archive", archive}}
		},
		Has: func(cluster, node, image string) Command {
			args := []string{"exec", "--cluster", cluster, node, "--"}
			return Command{Program: t.Program, Args: slices.Concat(args, runtime.Debug, []string{"inspecti", "-q", image})}
		},
	}, nil
}
