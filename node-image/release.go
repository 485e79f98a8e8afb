package nodeimage

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// download gives a folder with a program of upstream's release. Its file is
// compared with the pinned sha256 or, without one, with upstream's checksum
// file.
func (b *builder) download(ctx context.Context, prog *Program) (string, error) {
	return b.step(ctx, "release-"+prog.Name, prog, func(dir string) error {
		want := strings.TrimPrefix(prog.Digest, "sha256:")
		if want == "" {
			var err error
			if want, err = b.upstreamSum(ctx, prog); err != nil {
				return err
			}
		}
		file := filepath.Join(dir, prog.Name)
		if prog.Member == "" {
			return b.fetchFile(ctx, prog.URL, want, file)
		}
		archive := filepath.Join(dir, "archive")
		if err := b.fetchFile(ctx, prog.URL, want, archive); err != nil {
			return err
		}
		defer os.Remove(archive)
		return unpackMember(archive, prog.Member, file)
	})
}

// upstreamSum reads the sha256 of a release from upstream's checksum file.
func (b *builder) upstreamSum(ctx context.Context, prog *Program) (string, error) {
	if prog.Checksum == "" {
		return "", &ChecksumError{What: prog.URL, Err: errors.New("neither a sha256 nor a checksum file is known")}
	}
	var text strings.Builder
	if err := b.fetch(ctx, prog.Checksum, &limited{w: &text, left: 1 << 20}); err != nil {
		return "", err
	}
	sum, err := findSum(text.String(), path.Base(prog.URL))
	if err != nil {
		return "", &ChecksumError{What: prog.Checksum, Err: err}
	}
	return sum, nil
}

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// findSum finds a file's sha256 in a checksum file: alone on its line, or
// followed by the file's name.
func findSum(text, name string) (string, error) {
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || !sumForm.MatchString(f[0]) {
			continue
		}
		if len(f) == 1 || path.Base(strings.TrimPrefix(f[1], "*")) == name {
			return f[0], nil
		}
	}
	return "", fmt.Errorf("no sha256 of %s in it", name)
}

// fetchFile downloads to a file that must have the sha256 want.
func (b *builder) fetchFile(ctx context.Context, url, want, file string) (err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	h := sha256.New()
	err = errors.Join(b.fetch(ctx, url, io.MultiWriter(f, h)), f.Close())
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return &ChecksumError{What: url, Err: fmt.Errorf("its sha256 is %s, not %s", got, want)}
	}
	return nil
}

func (b *builder) fetch(ctx context.Context, url string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := b.r.env.HTTP.Do(req)
	if err != nil {
		return &NetworkError{What: req.URL.Host, Err: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &NetworkError{What: url, Err: errors.New(resp.Status)}
	}
	if _, err = io.Copy(w, resp.Body); err != nil && diskError(err) == err {
		err = &NetworkError{What: url, Err: err}
	}
	return err
}

// limited fails once more than left bytes were written to it.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errors.New("too long for a checksum file")
	}
	return l.w.Write(p)
}

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
