package nodeimage

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
)

// unpackMember copies one file out of a .tar.gz.
func unpackMember(archive, member, file string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpacking a release: %w", err)
	}
	tr := tar.NewReader(zr)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("unpacking a release: no file %s in it", member)
		}
		if err != nil {
			return fmt.Errorf("unpacking a release: %w", err)
		}
		if path.Clean(h.Name) == path.Clean(member) && h.Typeflag == tar.TypeReg {
			return writeFile(file, tr)
		}
	}
}
