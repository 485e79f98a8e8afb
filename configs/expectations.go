package configs

import (
	"embed"
	"io/fs"
)

//go:embed expectations/*.yaml
var expectations embed.FS

// Expectations holds which e2e specs are known to fail on which container runtime,
// RUNTIME-vMAJOR.MINOR.yaml and cri-RUNTIME-vMAJOR.MINOR.yaml, in the form that package
// expect reads.
func Expectations() fs.FS {
	sub, err := fs.Sub(expectations, "expectations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}
