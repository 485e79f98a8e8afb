package configs

import (
	"embed"
	"io/fs"
)

//go:embed keys
var keys embed.FS

// Keys holds armored OpenPGP public keys, by which upstreams sign the checksum
// files of their releases. Which of them count is said by their fingerprints
// in components.yaml.
func Keys() fs.FS {
	sub, err := fs.Sub(keys, "keys")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}
