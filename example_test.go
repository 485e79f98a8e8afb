package kluster_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/kluster-project/kluster"
	"github.com/kluster-project/kluster/configs/v1alpha1"
)

// A cluster for one test program, with a node that is switched off and on.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	engine, err := kluster.Connect(ctx, kluster.Options{Log: os.Stderr})
	if err != nil {
		panic(err)
	}
	cluster, err := engine.Create(ctx, kluster.CreateOptions{Name: "mine", ControlPlanes: 1, Workers: 1, Ephemeral: true})
	if err != nil {
		panic(err)
	}
	defer cluster.Delete(context.WithoutCancel(ctx)) //nolint:errcheck // an example
	if err := cluster.StopNodes(ctx, kluster.StopOptions{}, "mine-worker-1"); err != nil {
		panic(err)
	}
	if err := cluster.WaitNodeNotReady(ctx, "mine-worker-1"); err != nil {
		panic(err)
	}
	if err := cluster.StartNodes(ctx, "mine-worker-1"); err != nil {
		panic(err)
	}
}

// A configuration is that of a file, as a struct.
func ExampleEngine_Create() {
	ctx := context.Background()
	engine, err := kluster.Connect(ctx, kluster.Options{})
	if err != nil {
		panic(err)
	}
	cluster, err := engine.Create(ctx, kluster.CreateOptions{
		Name: "dual",
		Config: &v1alpha1.Cluster{
			Nodes:      []v1alpha1.Node{{Role: "control-plane"}, {Role: "worker", Runtime: "cri-o"}},
			Networking: v1alpha1.Networking{IPFamily: "dual"},
		},
		Kubeconfig: "kubeconfig.yaml",
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(cluster.Name())
}

// Clusters that the kluster command made are opened by their names.
func ExampleEngine_Open() {
	ctx := context.Background()
	engine, err := kluster.Connect(ctx, kluster.Options{})
	if err != nil {
		panic(err)
	}
	cluster, err := engine.Open(ctx, "mine")
	if err != nil {
		panic(err)
	}
	nodes, err := cluster.Nodes(ctx)
	if err != nil {
		panic(err)
	}
	for _, n := range nodes {
		fmt.Println(n.Name, n.Role, n.State)
	}
}

// Control planes stop one after the other; the third would take etcd its majority.
func ExampleCluster_StopNodes() {
	ctx := context.Background()
	engine, err := kluster.Connect(ctx, kluster.Options{})
	if err != nil {
		panic(err)
	}
	cluster, err := engine.Open(ctx, "mine")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"mine-control-plane-1", "mine-control-plane-2"} {
		if err := cluster.StopNodes(ctx, kluster.StopOptions{}, name); err != nil {
			fmt.Println(err) // the second time: "... leaves 1 of 3 control planes, and etcd needs 2 ..."
		}
	}
	if err := cluster.Start(ctx); err != nil {
		panic(err)
	}
}

// A fault is undone when its time is up, or earlier.
func ExampleCluster_Fault() {
	ctx := context.Background()
	engine, err := kluster.Connect(ctx, kluster.Options{})
	if err != nil {
		panic(err)
	}
	cluster, err := engine.Open(ctx, "mine")
	if err != nil {
		panic(err)
	}
	fault, err := cluster.Fault(ctx, kluster.FaultSpec{
		Kind: kluster.FaultPartition, Nodes: []string{"mine-control-plane-1"}, For: time.Minute,
		Params: map[string]string{"direction": "in"},
	})
	if err != nil {
		panic(err)
	}
	// ... what is tested ...
	if err := fault.Undo(ctx); err != nil {
		panic(err)
	}
	if err := cluster.WaitReady(ctx); err != nil {
		panic(err)
	}
}
