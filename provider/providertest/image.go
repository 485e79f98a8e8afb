package providertest

import (
	"archive/tar"
	"bytes"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/kluster-project/kluster/provider/providertest/program"
)

// Image makes the image of the contract's nodes: binary, which for a real
// engine is the testnode program built without cgo, and a folder /data.
func Image(binary []byte, labels map[string]string) (v1.Image, error) {
	layer, err := Layer(
		File{tar.Header{Name: program.Path[1:], Mode: 0o755, Typeflag: tar.TypeReg}, binary},
		File{tar.Header{Name: "bin/", Mode: 0o755, Typeflag: tar.TypeDir}, nil},
		File{tar.Header{Name: "bin/sh", Linkname: program.Path, Typeflag: tar.TypeSymlink}, nil},
		File{tar.Header{Name: "data/", Mode: 0o755, Typeflag: tar.TypeDir}, nil},
	)
	if err != nil {
		return nil, err
	}
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Entrypoint: []string{program.Path, "init"},
			Env:        []string{"PATH=/bin"}, Labels: labels,
		},
	})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(base, layer)
}

// File is one file of a tar stream. Its size is that of Data.
type File struct {
	tar.Header
	Data []byte
}

// Tar makes a tar stream of files.
func Tar(files ...File) ([]byte, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, f := range files {
		f.Size = int64(len(f.Data))
		if err := tw.WriteHeader(&f.Header); err != nil {
			return nil, err
		}
		if _, err := tw.Write(f.Data); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Layer makes an uncompressed image layer of files.
func Layer(files ...File) (v1.Layer, error) {
	data, err := Tar(files...)
	if err != nil {
		return nil, err
	}
	return static.NewLayer(data, types.DockerUncompressedLayer), nil
}
