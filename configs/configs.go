// Package configs holds kluster's data: which components a node image is made
// of, in which versions, and the module graph each is built in.
package configs

import "embed"

// Components is components.yaml, decoded by package nodeimage.
//
//go:embed components.yaml
var Components []byte

// Modules holds modules/NAME-VERSION/mod and .../sum, the go.mod and go.sum of
// each module graph. They lack their usual names because go:embed leaves out
// any folder that holds a go.mod.
//
//go:embed modules
var Modules embed.FS
