package docker

import (
	"context"
	"fmt"
	"os"

	"github.com/vbatts/tar-split/tar/storage"

	"github.com/kluster-project/kluster/internal/pieces"
)

// diskPart is a part of a layer's tar file: text, or a file of the layer's folder.
type diskPart struct {
	text []byte
	file string
	size int64 // of the file
}

// add adds what an entry of the recipe says. The recipe has a checksum of each file, which
// is not looked at: whoever takes a layer compares its digest.
func (l *diskLayer) add(entry *storage.Entry) {
	if entry.Type != storage.SegmentType {
		if entry.Size > 0 {
			l.parts = append(l.parts, diskPart{file: relative(entry.GetName()), size: entry.Size})
		}
		return
	}
	if last := len(l.parts) - 1; last >= 0 && l.parts[last].file == "" {
		l.parts[last].text = append(l.parts[last].text, entry.Payload...)
		return
	}
	l.parts = append(l.parts, diskPart{text: entry.Payload})
}

// pieces is the tar file of a layer, made of its folder while it is read.
func (l *diskLayer) pieces(ctx context.Context) pieces.Seq {
	return func(yield func(pieces.Piece, error) bool) {
		folder, err := os.OpenRoot(l.dir) // nothing outside of it is read, whatever links say
		if err != nil {
			yield(pieces.Piece{}, err)
			return
		}
		defer folder.Close()
		for _, p := range l.parts {
			switch {
			case ctx.Err() != nil:
				yield(pieces.Piece{}, context.Cause(ctx))
				return
			case p.file != "" && !p.open(folder, yield), p.file == "" && !yield(pieces.Piece{Text: p.text}, nil):
				return
			}
		}
	}
}

// open gives a file, which must be as long as it was.
func (p diskPart) open(folder *os.Root, yield func(pieces.Piece, error) bool) bool {
	f, err := folder.Open(p.file)
	if err != nil {
		yield(pieces.Piece{}, err)
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = p.check(info)
	}
	return yield(pieces.Piece{File: f, Size: p.size}, err) && err == nil
}

func (p diskPart) check(info os.FileInfo) error {
	if !info.Mode().IsRegular() || info.Size() != p.size {
		return fmt.Errorf("%s is not the file that the layer was made of", p.file)
	}
	return nil
}
