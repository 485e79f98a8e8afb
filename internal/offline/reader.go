package offline

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Bundle is one that is read.
type Bundle struct {
	Contents
	Images  []Image  // once it was verified
	Outputs []Output // once it was verified

	r       io.ReaderAt
	members map[string]member
}

// member is where one lies.
type member struct{ at, size int64 }

// Open looks at a bundle of a size, and reads nothing but its contents. It returns
// *ForeignError, *DamagedError, or an error for a bundle of another format.
func Open(r io.ReaderAt, size int64) (*Bundle, error) {
	b := &Bundle{r: r, members: map[string]member{}}
	section := io.NewSectionReader(r, 0, size)
	tr := tar.NewReader(section)
	for first := true; ; first = false {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && first {
			return nil, &ForeignError{"it is no tar archive"}
		}
		if err != nil {
			return nil, damaged("%v", err)
		}
		at, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, fmt.Errorf("reading the bundle: %w", err)
		}
		if err := b.add(h, at, size); err != nil {
			return nil, err
		}
		if !first {
			continue
		}
		if err := b.readContents(h.Name); err != nil {
			return nil, err
		}
	}
	if len(b.members) == 0 {
		return nil, &ForeignError{"it is empty"}
	}
	if _, ok := b.members[sumsFile]; !ok {
		return nil, damaged("its end is missing")
	}
	return b, nil
}

// add notes a member.
func (b *Bundle) add(h *tar.Header, at, size int64) error {
	_, twice := b.members[h.Name]
	switch {
	case twice:
		return damaged("%s is in it twice", h.Name)
	case h.Typeflag != tar.TypeReg:
		return damaged("%s is no file", h.Name)
	case len(b.members) == maxMembers:
		return damaged("it has more than %d members", maxMembers)
	case h.Size > size-at:
		return damaged("%s ends too early", h.Name)
	}
	b.members[h.Name] = member{at, h.Size}
	return nil
}

func (b *Bundle) readContents(first string) error {
	if first != contentsFile {
		return &ForeignError{fmt.Sprintf("it begins with %q and not with %s", first, contentsFile)}
	}
	text, err := b.text(contentsFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &b.Contents); err != nil {
		return &ForeignError{fmt.Sprintf("%s: %v", contentsFile, err)}
	}
	return b.checkFormat()
}

// open reads a member.
func (b *Bundle) open(name string) (*io.SectionReader, error) {
	m, ok := b.members[name]
	if !ok {
		return nil, damaged("%s is missing", name)
	}
	return io.NewSectionReader(b.r, m.at, m.size), nil
}

// text reads a small member.
func (b *Bundle) text(name string) ([]byte, error) {
	r, err := b.open(name)
	if err != nil {
		return nil, err
	}
	if r.Size() > maxText {
		return nil, damaged("%s is too big", name)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading %s of the bundle: %w", name, err)
	}
	return data, nil
}

// Verify reads all of the bundle, sees that each member has its sha256, and fills in
// Images and Outputs. progress may be nil. It returns *DamagedError.
func (b *Bundle) Verify(ctx context.Context, progress func(done, total int64)) error {
	sums, err := b.sums()
	if err != nil {
		return err
	}
	var done, total int64
	for _, m := range b.members {
		total += m.size
	}
	inOrder := slices.SortedFunc(maps.Keys(b.members), func(a, c string) int { return int(min(1, max(-1, b.members[a].at-b.members[c].at))) })
	for _, name := range inOrder {
		if name == sumsFile {
			continue
		}
		r, err := b.open(name)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, &telling{r: during{ctx, r}, tell: func(n int64) {
			if done += n; progress != nil {
				progress(done, total)
			}
		}})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("reading %s of the bundle: %w", name, err)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != sums[name] {
			return damaged("%s has the sha256 %s and not %s", name, got, sums[name])
		}
	}
	return b.readIndex()
}

// sums are those of all members, by name.
func (b *Bundle) sums() (map[string]string, error) {
	text, err := b.text(sumsFile)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		sum, name, ok := strings.Cut(s.Text(), "  ")
		if _, is := b.members[name]; !ok || !is {
			return nil, damaged("%s names %q, which is missing", sumsFile, name)
		}
		if hash, blob := strings.CutPrefix(name, "blobs/sha256/"); blob && hash != sum {
			return nil, damaged("%s says that %s has another sha256", sumsFile, name)
		}
		sums[name] = sum
	}
	for name := range b.members {
		if sums[name] == "" && name != sumsFile {
			return nil, damaged("%s does not name %s", sumsFile, name)
		}
	}
	return sums, nil
}

// during is a reader that ends when a context does.
type during struct {
	ctx context.Context //nolint:containedctx // that is what it is for
	r   io.Reader
}

func (d during) Read(p []byte) (int, error) {
	if d.ctx.Err() != nil {
		return 0, context.Cause(d.ctx)
	}
	return d.r.Read(p)
}
