package bench

import (
	"fmt"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Roles of containers, the same words for every tool.
const (
	roleControlPlane = "control-plane"
	roleWorker       = "worker"
)

// Tool makes clusters out of containers.
type Tool struct {
	Name    string
	Program string
	// Image is the node image.
	Image string
	// ClusterLabel and RoleLabel are the labels of its containers.
	ClusterLabel, RoleLabel string
	// ProbeImage is an image that every node holds and that can resolve names;
	// "" to take one of those that the first node reports.
	ProbeImage string
	// Create and Delete are the arguments, and what the process reads, for a
	// cluster of this name with this kubeconfig file.
	Create func(c Case, cluster, kubeconfig string) Command
	Delete func(cluster, kubeconfig string) Command
	// AddWorker is nil for tools without such a verb.
	AddWorker func(cluster, kubeconfig string) Command
}

// Kluster is kluster as a user calls it. addWorker are the words of the verb that
// adds a worker, with NAME for the cluster's name; "" if there is none.
func Kluster(program, image, probeImage, addWorker string) Tool {
	t := Tool{
		Name: klusterName, Program: program, Image: image, ProbeImage: probeImage,
		ClusterLabel: nodespec.LabelCluster, RoleLabel: nodespec.LabelRole,
		Create: func(c Case, cluster, kubeconfig string) Command {
			return Command{Program: program, Args: []string{
				"create", "--name", cluster, "--kubeconfig", kubeconfig, "--output", "json",
				"--control-planes", fmt.Sprint(c.ControlPlanes), "--workers", fmt.Sprint(c.Workers),
			}}
		},
		Delete: func(cluster, kubeconfig string) Command {
			return Command{Program: program, Args: []string{"delete", cluster, "--kubeconfig", kubeconfig}}
		},
	}
	if addWorker != "" {
		t.AddWorker = func(cluster, kubeconfig string) Command {
			words := strings.Fields(strings.ReplaceAll(addWorker, "NAME", cluster))
			return Command{Program: program, Args: words, Env: []string{"KUBECONFIG=" + kubeconfig}}
		}
	}
	return t
}

// Kind is kind as a user calls it.
func Kind(program, image, probeImage string) Tool {
	return Tool{
		Name: kindName, Program: program, Image: image, ProbeImage: probeImage,
		ClusterLabel: "io.x-k8s.kind.cluster", RoleLabel: "io.x-k8s.kind.role",
		Create: func(c Case, cluster, kubeconfig string) Command {
			return Command{Program: program, Stdin: kindConfig(c), Args: []string{
				"create", "cluster", "--name", cluster, "--image", image, "--kubeconfig", kubeconfig, "--config", "-",
			}}
		},
		Delete: func(cluster, kubeconfig string) Command {
			return Command{Program: program, Args: []string{"delete", "cluster", "--name", cluster, "--kubeconfig", kubeconfig}}
		},
	}
}

func kindConfig(c Case) string {
	return "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n" +
		strings.Repeat("- role: control-plane\n", c.ControlPlanes) + strings.Repeat("- role: worker\n", c.Workers)
}
