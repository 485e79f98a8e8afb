package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vbatts/tar-split/tar/storage"
)

// assembled is a layer's tar file, made of its folder and recipe while it is read. The
// recipe has a checksum of each file, which is not looked at: whoever reads a layer
// compares its digest, and to compute both takes a third more.
type assembled struct {
	ctx    context.Context
	folder *os.Root // nothing outside of it is read, whatever links say
	parts  storage.Unpacker

	part io.Reader
	file *os.File // part, if it is one, of which left bytes are to come
	left int64
}

func (a *assembled) Read(p []byte) (int, error) {
	for {
		if a.ctx.Err() != nil {
			return 0, context.Cause(a.ctx)
		}
		if a.part == nil {
			if err := a.next(); err != nil {
				return 0, err
			}
		}
		n, err := a.part.Read(p)
		a.left -= int64(n)
		if errors.Is(err, io.EOF) {
			err = a.end()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// next begins with the next part; io.EOF says that there is none.
func (a *assembled) next() error {
	part, err := a.parts.Next()
	switch {
	case err != nil:
		return err
	case part.Type == storage.SegmentType:
		a.part, a.left = bytes.NewReader(part.Payload), int64(len(part.Payload))
	case part.Size == 0:
		a.part, a.left = bytes.NewReader(nil), 0
	default:
		if a.file, err = a.folder.Open(relative(part.GetName())); err != nil {
			return err
		}
		a.part, a.left = a.file, part.Size
	}
	return nil
}

// end ends a part, which must have been as long as the recipe says.
func (a *assembled) end() error {
	a.part = nil
	if a.left != 0 {
		return fmt.Errorf("%s is not the file that the layer was made of", a.file.Name())
	}
	return a.close()
}

func (a *assembled) close() error {
	if a.file == nil {
		return nil
	}
	f := a.file
	a.file = nil
	return f.Close()
}
