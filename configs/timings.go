package configs

import (
	"embed"
	"io/fs"
)

//go:embed timings/*.json
var timings embed.FS

// Timings holds how long Kubernetes' e2e specs took, VERSION.json, in the form
// that package timings reads.
func Timings() fs.FS {
	sub, err := fs.Sub(timings, "timings")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}
