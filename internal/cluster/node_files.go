package cluster

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/pki"
	"github.com/kluster-project/kluster/provider"
)

// mostOfFile bounds a file that is taken from one node for another.
const mostOfFile = 8 << 20

// readTree reads a file or all files of a folder in a node, with modes and links. There
// are none where there is no such path.
func (m *Manager) readTree(ctx context.Context, n provider.Node, at string) ([]nodespec.File, error) {
	stream, err := m.provider.CopyFrom(ctx, n.ID, at)
	if errors.Is(err, provider.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var files []nodespec.File
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s of %s: %w", at, n.Name, err)
		}
		f := nodespec.File{Path: path.Join(path.Dir(at), h.Name), Mode: uint32(h.Mode & 0o7777)}
		switch h.Typeflag {
		case tar.TypeSymlink:
			f.Link = h.Linkname
		case tar.TypeReg:
			if f.Data, err = io.ReadAll(io.LimitReader(r, mostOfFile)); err != nil {
				return nil, fmt.Errorf("reading %s of %s: %w", f.Path, n.Name, err)
			}
		default:
			continue
		}
		files = append(files, f)
	}
}

// authorityNames are the files of pki.Dir that all control planes share; of these
// workers have the first.
var authorityNames = []string{
	"ca.crt", "ca.key", "etcd/ca.crt", "etcd/ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub",
}

// shared is what nodes have in common that were made together, taken from one of them.
type shared struct {
	// every node has the first, and control planes the others too.
	every, authority, controlPlanes []nodespec.File
	// admin is a kubeconfig of the cluster's administrator inside of it.
	admin []byte
	ca    *pki.Authority
}

// everyNodes are the folders and files of what every node has, each with which of its
// files.
var everyNodes = []struct {
	at    string
	takes func(name string) bool
}{
	{nodespec.MirrorsDir, func(name string) bool { return path.Ext(name) == ".json" }},
	{nodespec.AuthoritiesDir, func(name string) bool { return path.Ext(name) == ".crt" }},
	{pullSecrets, func(string) bool { return true }},
	{"/etc/systemd/system/sockets.target.wants", func(name string) bool { return strings.HasPrefix(name, "kluster-registry@") }},
}

// readShared reads it from a control plane, with paths that its programs read besides.
func (m *Manager) readShared(ctx context.Context, from provider.Node, mounted []string) (*shared, error) {
	s := &shared{}
	all, err := m.readTree(ctx, from, pki.Dir)
	if err != nil {
		return nil, err
	}
	byName := map[string]nodespec.File{}
	for _, f := range all {
		byName[strings.TrimPrefix(f.Path, pki.Dir+"/")] = f
	}
	for _, name := range authorityNames {
		if f, ok := byName[name]; ok {
			s.authority = append(s.authority, f)
		}
	}
	if s.ca, err = pki.Read(byName["ca.crt"].Data, byName["ca.key"].Data, time.Now()); err != nil {
		return nil, fmt.Errorf("%s: %w", from.Name, err)
	}
	for _, folder := range everyNodes {
		files, err := m.readTree(ctx, from, folder.at)
		if err != nil {
			return nil, err
		}
		s.every = append(s.every, slices.DeleteFunc(files, func(f nodespec.File) bool { return !folder.takes(path.Base(f.Path)) })...)
	}
	for _, at := range mounted {
		if within(at, pki.Dir) || !within(at, "/etc") {
			continue // every node has its own
		}
		files, err := m.readTree(ctx, from, at)
		if err != nil {
			return nil, err
		}
		s.controlPlanes = append(s.controlPlanes, files...)
	}
	mark, err := m.readTree(ctx, from, nodespec.ReadyFile)
	if err != nil {
		return nil, err
	}
	s.controlPlanes = append(s.controlPlanes, mark...)
	s.admin, err = m.readFile(ctx, from.ID, AdminConf)
	return s, err
}

// within says whether a path is a folder or lies below it.
func within(at, folder string) bool { return at == folder || strings.HasPrefix(at, folder+"/") }
