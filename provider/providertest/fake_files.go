package providertest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/kluster-project/kluster/provider"
)

// fileTree holds files and folders by absolute path.
type fileTree map[string]File

// treeOf unpacks an image.
func treeOf(img v1.Image) (fileTree, error) {
	tree := fileTree{"/": {Header: tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}}}
	stream := mutate.Extract(img)
	defer stream.Close()
	return tree, tree.unpack("/", stream)
}

// unpack adds a tar stream below dir.
func (t fileTree) unpack(dir string, stream io.Reader) error {
	tr := tar.NewReader(stream)
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			return err
		}
		name := path.Join(dir, header.Name)
		t.addFolders(path.Dir(name))
		t[name] = File{Header: *header, Data: data}
	}
}

// addFolders adds a folder and those above it where there are none.
func (t fileTree) addFolders(dir string) {
	for ; ; dir = path.Dir(dir) {
		if _, ok := t[dir]; ok {
			return
		}
		t[dir] = File{Header: tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}}
	}
}

// pack gives a file, or a folder with all below it, named from its last part on.
func (t fileTree) pack(root string) ([]byte, error) {
	var files []File
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if name != root && !strings.HasPrefix(name, strings.TrimSuffix(root, "/")+"/") {
			continue
		}
		f := t[name]
		f.Name = path.Join(path.Base(root), strings.TrimPrefix(name, root))
		if f.Typeflag == tar.TypeDir {
			f.Name += "/"
		}
		files = append(files, f)
	}
	return Tar(files...)
}

// CopyTo implements provider.Provider.
func (p *Provider) CopyTo(ctx context.Context, id, dir string, tar io.Reader) error {
	if err := p.begin(ctx, "CopyTo", p.name(id)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return err
	}
	if _, ok := node.files[path.Clean(dir)]; !ok {
		return fmt.Errorf("copying to %q of node %q: %w", dir, node.Name, provider.ErrNotFound)
	}
	if err := node.files.unpack(dir, tar); err != nil {
		return fmt.Errorf("copying to %q of node %q: %w", dir, node.Name, err)
	}
	return nil
}

// CopyFrom implements provider.Provider.
func (p *Provider) CopyFrom(ctx context.Context, id, name string) (io.ReadCloser, error) {
	if err := p.begin(ctx, "CopyFrom", p.name(id)); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return nil, err
	}
	name = path.Clean(name)
	if _, ok := node.files[name]; !ok {
		return nil, fmt.Errorf("copying %q of node %q: %w", name, node.Name, provider.ErrNotFound)
	}
	data, err := node.files.pack(name)
	return io.NopCloser(bytes.NewReader(data)), err
}

// ReadFile gives what a file of a node holds; ErrNotFound if there is none.
func (p *Provider) ReadFile(id, name string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return nil, err
	}
	f, ok := node.files[path.Clean(name)]
	if !ok {
		return nil, fmt.Errorf("file %q of node %q: %w", name, node.Name, provider.ErrNotFound)
	}
	return slices.Clone(f.Data), nil
}

// WriteFile puts a file into a node, as a command run there would.
func (p *Provider) WriteFile(id, name string, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	node, err := p.find(id)
	if err != nil {
		return err
	}
	node.files.addFolders(path.Dir(path.Clean(name)))
	node.files[path.Clean(name)] = File{
		Header: tar.Header{Typeflag: tar.TypeReg, Mode: 0o644}, Data: slices.Clone(data),
	}
	return nil
}
