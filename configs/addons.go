package configs

import (
	"embed"
	"io/fs"
)

// Addons is addons.yaml, decoded by package addons.
//
//go:embed addons.yaml
var Addons []byte

//go:embed addons
var addons embed.FS

// AddonManifests holds the manifests that are kluster's own of each add-on,
// NAME/*.yaml, as templates.
func AddonManifests() fs.FS {
	sub, err := fs.Sub(addons, "addons")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}
