// Package v1alpha1 holds the types of kluster's configuration file,
// apiVersion kluster.dev/v1alpha1. The JSON schema in configs/schema.json is
// made from them and from their comments.
package v1alpha1

//go:generate go run ./gen ../schema.json

// APIVersion and Kind are what every file of this version says it is.
const (
	APIVersion = "kluster.dev/v1alpha1"
	Kind       = "Cluster"
)
