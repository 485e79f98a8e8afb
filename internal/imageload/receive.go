package imageload

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// tarBlock is what everything in a tar file is filled up to.
const tarBlock = 512

// filling is what follows content of a size.
func filling(size int64) int64 { return (tarBlock - size%tarBlock) % tarBlock }

// Receiver reads what a Stream wrote, and no byte more than it gives: content can so be
// taken from the reader itself, by a system call that copies nothing.
type Receiver struct {
	r    io.Reader
	rest int64 // of the last file, behind its content
}

// NewReceiver begins to read.
func NewReceiver(r io.Reader) *Receiver { return &Receiver{r: r} }

// Received is a file of a stream.
type Received struct {
	Name string
	Size int64
	// Layer: it is one, not what tells of them.
	Layer bool
}

// Next gives the next file, whose Size bytes are then to be read from the reader, all of
// them. At the end it is io.EOF; a stream that ends early may end so, too, but then
// lacks its last file.
func (c *Receiver) Next() (Received, error) {
	if _, err := io.CopyN(io.Discard, c.r, c.rest); err != nil {
		return Received{}, fmt.Errorf("reading the stream: %w", early(err))
	}
	// One for each header: it reads that and nothing else.
	h, err := tar.NewReader(c.r).Next()
	if errors.Is(err, io.EOF) {
		return Received{}, io.EOF
	}
	if err != nil {
		return Received{}, fmt.Errorf("reading the stream: %w", err)
	}
	c.rest = filling(h.Size)
	return Received{h.Name, h.Size, h.Uname == LayerMark}, nil
}

// early is what it means that a file ends.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ParsePlan reads the file with which a stream that has layers begins: for each image
// its layers from the lowest up.
func ParsePlan(text []byte) (plan [][]Planned, err error) {
	if err := json.Unmarshal(text, &plan); err != nil {
		return nil, fmt.Errorf("reading the stream's plan: %w", err)
	}
	return plan, nil
}
