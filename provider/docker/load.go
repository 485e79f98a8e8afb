package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
)

// LoadImage implements provider.Provider. The engine tags an image after it has
// unpacked and checked every layer, so a load that ends early leaves no tag.
func (p *Provider) LoadImage(ctx context.Context, ref string, img v1.Image, progress func(done, total int64)) error {
	a, err := newArchive(ref, img)
	if err != nil {
		return fmt.Errorf("reading image %q: %w", ref, err)
	}
	held, err := p.heldLayers(ctx, a.diffIDs)
	if err != nil {
		return fmt.Errorf("loading image %q: %w", ref, err)
	}
	err = p.send(ctx, a, held, progress)
	if err != nil && held > 0 && ctx.Err() == nil && !errors.Is(err, provider.ErrNoSpace) {
		// The layers that were left out may have gone meanwhile.
		err = p.send(ctx, a, 0, progress)
	}
	if errors.Is(err, provider.ErrNoSpace) {
		err = p.needing(ctx, err, a, held)
	}
	if err != nil {
		return fmt.Errorf("loading image %q: %w", ref, err)
	}
	return nil
}

// needing adds to the error of a full disk how much a load needs of it: an engine keeps
// what it is sent until it has unpacked it.
func (p *Provider) needing(ctx context.Context, err error, a *archive, held int) error {
	host, herr := p.Host(ctx)
	plan, perr := a.plan(held)
	if herr != nil || perr != nil {
		return err
	}
	const gb = 1e9
	return failure.With(err, failure.Exit(failure.CodeHost), failure.Hint(
		"%.1f GB must be free below %s, and %.1f GB are: make room there (%s removes what nothing uses), or use a larger disk",
		2*float64(plan.size())/gb, host.DataRoot, float64(host.DataFree)/gb, host.Prune))
}

// heldLayers says how many of an image's lower layers the engine has already.
// The classic store finds layers by what lies below them too (the chain ID) and
// does not open the file of one it has. The containerd store needs every file.
func (p *Provider) heldLayers(ctx context.Context, diffIDs []string) (int, error) {
	info, err := p.api.Info(ctx)
	if err != nil {
		return 0, explain(err)
	}
	if containerdStore(info) {
		return 0, nil
	}
	list, err := p.api.ImageList(ctx, image.ListOptions{All: true})
	if err != nil {
		return 0, explain(err)
	}
	most := 0
	for _, held := range list {
		// An image that has gone since the list was made holds no layers.
		if detail, err := p.api.ImageInspect(ctx, held.ID); err == nil {
			most = max(most, commonPrefix(diffIDs, detail.RootFS.Layers))
		}
	}
	return most, ctx.Err()
}

// containerdStore says whether images are kept by containerd and not by the
// engine's own classic store.
func containerdStore(info system.Info) bool {
	return slices.ContainsFunc(info.DriverStatus, func(pair [2]string) bool {
		return pair[0] == "driver-type" && strings.HasPrefix(pair[1], "io.containerd.snapshotter")
	})
}

func commonPrefix(a, b []string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// send streams the archive without its lowest skip layers.
func (p *Provider) send(ctx context.Context, a *archive, skip int, progress func(done, total int64)) error {
	plan, err := a.plan(skip)
	if err != nil {
		return err
	}
	pr, pw := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := plan.write(pw, progress)
		pw.CloseWithError(err)
		written <- err
	}()
	err = p.load(ctx, until{ctx, pr})
	// The engine may stop reading early; the writer must not wait for ever.
	pr.CloseWithError(io.ErrClosedPipe)
	if writeErr := <-written; writeErr != nil && !errors.Is(writeErr, io.ErrClosedPipe) {
		return writeErr
	}
	return err
}

// until reads until its context ends: a request that is interrupted goes on sending for a
// moment, and what is left of a small archive would be an image.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u until) Read(b []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(b)
}

// load posts an archive and reads the engine's answer to its end, for errors
// come inside a stream that began with success.
func (p *Provider) load(ctx context.Context, tar io.Reader) error {
	resp, err := p.api.ImageLoad(ctx, tar, client.ImageLoadWithQuiet(true))
	if err != nil {
		return explain(err)
	}
	defer resp.Body.Close()
	return loadError(resp.Body)
}

// loadError gives the first error in the engine's answer to a load.
func loadError(answer io.Reader) error {
	for decoder := json.NewDecoder(answer); ; {
		var message struct {
			Error string `json:"error"`
		}
		switch err := decoder.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the engine's answer: %w", err)
		case message.Error != "":
			return explain(errors.New(message.Error))
		}
	}
}
