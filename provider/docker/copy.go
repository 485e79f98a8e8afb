package docker

import (
	"context"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/container"
)

// CopyTo implements provider.Provider. Engines before 23.0 do not see a running
// node's tmpfs: what is copied there lands below it.
func (p *Provider) CopyTo(ctx context.Context, id, dir string, tar io.Reader) error {
	if err := p.api.CopyToContainer(ctx, id, dir, tar, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("copying to %q of node %q: %w", dir, id, explain(err))
	}
	return nil
}

// CopyFrom implements provider.Provider.
func (p *Provider) CopyFrom(ctx context.Context, id, path string) (io.ReadCloser, error) {
	stream, _, err := p.api.CopyFromContainer(ctx, id, path)
	if err != nil {
		return nil, fmt.Errorf("copying %q of node %q: %w", path, id, explain(err))
	}
	return stream, nil
}
