// Package mirrors is what a node knows of mirrors of registries, and the proxy that
// asks them for container runtimes that cannot: Docker Engine, which can be told of
// mirrors of Docker Hub alone.
//
// The engine sends all of its pulls to the proxy (HTTPS_PROXY). What goes to registries
// without mirrors is passed on as it is, encrypted from end to end; the others' names
// get certificates of an authority that is this node's own, and which the engine alone
// trusts. So mirrors can be changed while the engine runs, and neither the node's names
// nor pods notice.
package mirrors

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Read gives the mirrors that a node below root ("" for this one) was told of, by any
// source: each registry once, with all of its endpoints.
func Read(root string) ([]nodespec.Mirror, error) {
	files, err := filepath.Glob(filepath.Join("/", root, nodespec.MirrorsDir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("looking for mirrors: %w", err)
	}
	slices.Sort(files)
	var all []nodespec.Mirror
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading mirrors: %w", err)
		}
		var list []nodespec.Mirror
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		for _, m := range list {
			all = join(all, m)
		}
	}
	return all, nil
}

// join adds a mirror to those that there are.
func join(all []nodespec.Mirror, m nodespec.Mirror) []nodespec.Mirror {
	i := slices.IndexFunc(all, func(o nodespec.Mirror) bool { return o.Of == m.Of })
	if i < 0 {
		i, all = len(all), append(all, nodespec.Mirror{Of: m.Of})
	}
	for _, e := range m.Endpoints {
		if !slices.Contains(all[i].Endpoints, e) {
			all[i].Endpoints = append(all[i].Endpoints, e)
		}
	}
	return all
}
