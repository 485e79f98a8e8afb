package nodeimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// published gives a folder with a program of upstream's release.
func (b *builder) published(ctx context.Context, prog *Program) (string, error) {
	from, err := b.download(ctx, prog)
	if err != nil {
		return "", err
	}
	return b.step(ctx, "release-"+prog.Name, prog, func(dir string) error {
		file := filepath.Join(dir, prog.Name)
		if prog.Member == "" {
			return os.Link(from, file)
		}
		return unpackMember(from, prog.Member, file)
	})
}

func (p *Program) downloadStep() string { return "download-" + path.Base(p.URL) }

// download gives the file as upstream publishes it, which may be an archive of
// several programs. It must have the pinned sha256 or, without one, that in
// upstream's signed checksum file.
func (b *builder) download(ctx context.Context, prog *Program) (string, error) {
	inputs := struct {
		URL, Digest string
		Sums        *SumFile
	}{prog.URL, prog.Digest, prog.Sums}
	dir, err := b.step(ctx, prog.downloadStep(), inputs, func(dir string) error {
		want := strings.TrimPrefix(prog.Digest, "sha256:")
		if want == "" {
			var err error
			if want, err = b.upstreamSum(ctx, prog); err != nil {
				return err
			}
		}
		return b.fetchFile(ctx, prog.URL, want, filepath.Join(dir, "file"))
	})
	return filepath.Join(dir, "file"), err
}

// upstreamSum reads the sha256 of a release from upstream's checksum file,
// whose signature is verified first.
func (b *builder) upstreamSum(ctx context.Context, prog *Program) (string, error) {
	s := prog.Sums
	if s == nil || s.Signature == "" {
		return "", unpinned(prog)
	}
	data, err := b.fetchText(ctx, s.URL)
	if err != nil {
		return "", err
	}
	text, err := b.verified(ctx, s, data)
	if err != nil {
		return "", err
	}
	sum, err := findSum(string(text), path.Base(prog.URL))
	if err != nil {
		return "", &ChecksumError{What: s.URL, Err: err}
	}
	return sum, nil
}

// unpinned refuses a release that nothing vouches for.
func unpinned(prog *Program) error {
	return &SpecError{"source", fmt.Sprintf("nothing vouches for the published %s %s: the table of components has neither its sha256 nor a signed checksum file; build it (--source modules) or put in your own (--component %s=PATH)",
		prog.Name, prog.Version, prog.Name)}
}

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// findSum finds a file's sha256 in a checksum file, followed by the file's
// name: a sum alone could be any file's.
func findSum(text, name string) (string, error) {
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 2 && sumForm.MatchString(f[0]) && path.Base(strings.TrimPrefix(f[1], "*")) == name {
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
