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
	// LoadImage loads an image that the engine has, and Forget removes images from a node.
	Load      func(cluster, archive string) Command
	LoadImage func(cluster, image string) Command
	Has       func(cluster, node, image string) Command
	Forget    func(cluster, node string, images []string) Command
	// Whole is the command in a node that imports a whole archive from its stdin.
	Whole []string
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
	debug := func(cluster, node string, words ...string) Command {
		args := []string{"exec", "--cluster", cluster, node, "--"}
		return Command{Program: t.Program, Args: slices.Concat(args, runtime.Debug, words)}
	}
	return RuntimeTool{
		Tool: t, Pair: p, PodImage: podImage, Whole: runtime.Whole,
		Load: func(cluster, archive string) Command {
			return Command{Program: t.Program, Args: []string{"load", "--cluster", cluster, "--archive", archive}}
		},
		LoadImage: func(cluster, image string) Command {
			return Command{Program: t.Program, Args: []string{"load", "--cluster", cluster, image}}
		},
		Has: func(cluster, node, image string) Command { return debug(cluster, node, "inspecti", "-q", image) },
		Forget: func(cluster, node string, images []string) Command {
			return debug(cluster, node, append([]string{"rmi"}, images...)...)
		},
	}, nil
}
