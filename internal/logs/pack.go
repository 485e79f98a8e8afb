package logs

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// Pack writes the files of a bundle as a tar, all below a folder of that name.
func Pack(w io.Writer, dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("packing the logs: %w", err)
	}
	defer root.Close()
	archive := tar.NewWriter(w)
	err = fs.WalkDir(root.FS(), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return pack(archive, root, file, path.Join(name, file), d)
	})
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		return fmt.Errorf("packing the logs: %w", err)
	}
	return nil
}

func pack(archive *tar.Writer, root *os.Root, file, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Typeflag: tar.TypeReg, Size: info.Size()}
	if d.IsDir() {
		header.Name, header.Typeflag, header.Size = name+"/", tar.TypeDir, 0
	}
	if err := archive.WriteHeader(header); err != nil || d.IsDir() {
		return err
	}
	data, err := root.Open(file)
	if err != nil {
		return err
	}
	defer data.Close()
	_, err = io.Copy(archive, data)
	return err
}
