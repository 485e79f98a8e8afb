// Package kluster makes real Kubernetes clusters of several nodes on one Docker engine,
// for tests: it creates them, gives clients what they need to talk to them, stops,
// starts and breaks their nodes, and waits until they are what a test needs.
//
//	engine, err := kluster.Connect(ctx, kluster.Options{Log: GinkgoWriter})
//	cluster, err := engine.Create(ctx, kluster.CreateOptions{Name: "mine", Nodes: 3})
//	defer cluster.Delete(ctx)
//
// It is what the kluster command does: clusters of one are those of the other, and both
// say the same of what fails. A cluster's state lies in its machines, so that a Cluster is
// no more than a name; any number of processes may work on one at once.
//
// All methods honour the context that they are given, and wait no longer than that
// lasts, beyond what they must clean up. They may be called from any number of
// goroutines.
//
// The parts of a cluster are built by the kluster programs, which must be installed: see
// Options.Program. docs/go-api.md has a whole suite as an example.
package kluster
