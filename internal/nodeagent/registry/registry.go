// Package registry serves container images to the nodes of a cluster, read-only and
// over plain HTTP. It is for the few that a pod always pulls, though the node has
// them, and only as large as that. The registries that people push to and that cache
// others (internal/registries) run distribution's program. This one serves the very
// layout that nodes are loaded with, from where that was streamed to: distribution
// would need it pushed, or written anew in the form of its own storage.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Handler serves the images of an OCI layout folder, each under the path and the tag
// of its name: "registry.k8s.io/a/b:1" is a/b:1. It reads blobs when they are asked
// for, so the folder must stay.
func Handler(dir string, log *slog.Logger) (http.Handler, error) {
	images, err := readLayout(dir)
	if err != nil {
		return nil, err
	}
	logger := registry.Logger(slog.NewLogLogger(log.Handler(), slog.LevelDebug))
	all := registry.New(logger, registry.WithBlobHandler(blobs(dir)))
	for _, img := range images {
		if err := img.put(all); err != nil {
			return nil, fmt.Errorf("serving image %s: %w", img.name, err)
		}
		log.Info("serving", "image", img.name, "digest", img.digest)
	}
	return readOnly(all), nil
}

// readOnly refuses whatever would change something.
func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "this registry is read-only", http.StatusMethodNotAllowed)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Limits of a connection. Images are local files, and clients are near.
const (
	headerTime = 10 * time.Second
	stopTime   = 2 * time.Second
)

// Serve answers on the listener until ctx ends, and then lets transfers end for a
// moment. It closes the listener.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTime}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving images: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := server.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
