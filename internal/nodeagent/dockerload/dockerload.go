// Package dockerload gives Docker Engine image archives. Docker takes only those
// that name their images in a manifest.json, as "docker save" writes them; an OCI
// layout that has none gets one.
package dockerload

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
)

// Socket is where Docker Engine answers.
const Socket = "/var/run/docker.sock"

// Load reads an archive of images, as a tar stream, and gives it to the engine at
// socket. dir is for a file as big as the archive, which is removed: what is in a
// stream is known only at its end.
func Load(ctx context.Context, socket, dir string, archive io.Reader) error {
	file, err := os.CreateTemp(dir, "load-*.tar")
	if err != nil {
		return fmt.Errorf("making a file for the archive: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := io.Copy(file, archive); err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	manifest, err := missingManifest(file)
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	r, w := io.Pipe()
	defer r.Close()
	go func() { w.CloseWithError(rewrite(w, file, manifest)) }()
	return send(ctx, socket, r)
}

// rewrite copies an archive with a manifest.json added, unless that is nil.
func rewrite(w io.Writer, file *os.File, manifest []byte) error {
	out := tar.NewWriter(w)
	err := each(file, func(h *tar.Header, r io.Reader) error {
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(out, r)
		return err
	})
	if err == nil && manifest != nil {
		if err = out.WriteHeader(&tar.Header{Name: manifestFile, Mode: 0o644, Size: int64(len(manifest))}); err == nil {
			_, err = out.Write(manifest)
		}
	}
	return errors.Join(err, out.Close())
}

// each calls do with every entry of a tar file.
func each(file *os.File, do func(h *tar.Header, r io.Reader) error) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for tr := tar.NewReader(bufio.NewReaderSize(file, 1<<20)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		h.Name = path.Clean(h.Name)
		if err := do(h, tr); err != nil {
			return err
		}
	}
}

// send posts an archive to the engine. An engine that has begun to answer tells of
// errors in what it then says.
func send(ctx context.Context, socket string, archive io.Reader) error {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://docker/images/load?quiet=1", archive)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-tar")
	answer, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("giving the archive to Docker Engine: %w", err)
	}
	defer answer.Body.Close()
	for messages := json.NewDecoder(answer.Body); ; {
		var said struct{ Error, Message string }
		err := messages.Decode(&said)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading Docker Engine's answer: %w", err)
		}
		if said.Error != "" {
			return fmt.Errorf("loading into Docker Engine: %s", said.Error)
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("loading into Docker Engine: %s: %s", answer.Status, said.Message)
		}
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("loading into Docker Engine: %s", answer.Status)
	}
	return nil
}
