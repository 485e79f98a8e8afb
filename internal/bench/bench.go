// Package bench measures how long kluster, and kind beside it, take to make and
// delete clusters, and what clusters cost, all on one machine and in one run.
//
// The unit is the floor: the time that etcd and kube-apiserver alone take until
// /readyz. It is measured again before every cluster, with the same programs,
// flags, certificates and disk, so that ratios to it hold between machines.
// A cluster is watched from outside, through its own API and in the same way
// whoever made it; the clock starts with the tool's process.
//
// RunRuntimes measures container runtimes instead: what the starts of pods, their
// memory and the import of images are with each. RunLoads measures how long an image
// takes into all nodes of a cluster, against what kind does.
package bench
