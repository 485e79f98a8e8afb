package configs

import "embed"

// Schema is the JSON schema of the configuration file, made from the types in
// package v1alpha1.
//
//go:embed schema.json
var Schema []byte

// Examples holds configuration files to start from, examples/NAME.yaml.
//
//go:embed examples
var Examples embed.FS
