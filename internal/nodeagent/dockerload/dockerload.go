// Package dockerload gives Docker Engine the images of an imageload.Stream while it
// comes.
//
// By itself Engine lays all of an archive on its disk before it looks into it, and then
// reads each layer from there. But what the archive has as a layer may be a named pipe:
// Engine opens it when it comes to that layer, and only if it lacks it. So a layer is
// unpacked on its way, and passes through memory five times less.
//
// Each image of the stream is such an archive, with nothing but pipes in it, and one layer
// more at the top, at which Engine is made to wait; see session. Nothing is so made an
// image, and no layer goes as garbage. When all layers are there, what the stream has
// beside them is loaded as it is: Engine finds every layer, and names the images. Then the
// others are let fail. They also fail when this process ends, whatever ends it, for with it
// end the pipes; nothing is on the disk that Engine does not remove itself.
package dockerload

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kluster-project/kluster/internal/imageload"
)

// maxTexts bounds what the files come to that are no layers.
const maxTexts = 64 << 20

// errEarly is a stream without its end.
var errEarly = errors.New("reading the stream: it ends early")

// Load gives Engine the images of a stream, which may lack layers that Engine has. It
// makes all of them, or none.
func (e Engine) Load(ctx context.Context, stream *os.File) error {
	l := &load{
		engine: e, in: stream, stream: imageload.NewReceiver(stream),
		texts: map[string][]byte{}, kept: map[string]string{}, demands: make(chan *demand),
	}
	e.sweep()
	defer l.end()
	if err := l.read(ctx); err != nil {
		return err
	}
	archive, err := l.archive()
	if err != nil {
		return err
	}
	return e.post(ctx, archive)
}

// load is one load.
type load struct {
	engine Engine
	in     *os.File
	stream *imageload.Receiver
	// names are those of texts in their order.
	names []string
	texts map[string][]byte

	// places are the layers of all images in the order in which Engine asks for them.
	places []place
	// demands is what Engine asks for; it is closed when that is no more, for the reason
	// failed if it is not nil.
	demands chan *demand
	failed  error
	asking  func() // ends it
	now     *demand
	// kept are the files, by name, of layers that Engine has not asked for yet.
	kept map[string]string
}

// place is a layer in an image.
type place struct {
	file string
	// again: Engine has it from an earlier place.
	again bool
}

// read takes the stream to its end.
func (l *load) read(ctx context.Context) error {
	for {
		f, err := l.stream.Next()
		if errors.Is(err, io.EOF) {
			return l.complete()
		}
		if err != nil {
			return err
		}
		switch {
		case f.Layer:
			err = l.layer(f)
		case f.Name == imageload.PlanFile:
			err = l.begin(ctx, f)
		default:
			err = l.text(f)
		}
		if err != nil {
			return err
		}
	}
}

// text keeps a small file.
func (l *load) text(f imageload.Received) error {
	left := int64(maxTexts) - f.Size
	for _, t := range l.texts {
		left -= int64(len(t))
	}
	if left < 0 {
		return errors.New("reading the stream: its small files are too large")
	}
	text := make([]byte, f.Size)
	if _, err := io.ReadFull(l.in, text); err != nil {
		return errEarly
	}
	l.names, l.texts[f.Name] = append(l.names, f.Name), text
	return nil
}

// begin reads the plan and has Engine begin with what is planned.
func (l *load) begin(ctx context.Context, f imageload.Received) error {
	if err := l.text(f); err != nil {
		return err
	}
	plan, err := imageload.ParsePlan(l.texts[f.Name])
	if err != nil {
		return err
	}
	had := map[string]bool{}
	for _, layers := range plan {
		chain := ""
		for _, layer := range layers {
			chain = imageload.Chain(chain, layer.DiffID)
			l.places = append(l.places, place{layer.File, had[chain]})
			had[chain] = true
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	l.asking = func() { cancel(); <-ended }
	go func() {
		defer close(ended)
		l.ask(ctx, plan)
	}()
	return nil
}

// layer brings Engine a layer of the stream, now or when it asks for it.
func (l *load) layer(f imageload.Received) error {
	if l.asking == nil {
		return errors.New("reading the stream: a layer comes before the plan")
	}
	want, err := l.feed()
	if err != nil {
		return err
	}
	switch {
	case want == nil || !l.needed(f.Name, want.place):
		_, err = io.CopyN(io.Discard, l.in, f.Size) // somebody else has brought it meanwhile
		return err
	case want.file == f.Name && !l.needed(f.Name, want.place+1):
		return l.pour(l.in, f.Size)
	}
	return l.keep(f)
}

// feed gives Engine what is kept, and says what it wants that is not; nil if nothing.
func (l *load) feed() (*demand, error) {
	for {
		if l.now == nil {
			l.now = <-l.demands
		}
		if l.now == nil {
			return nil, l.failed
		}
		file, ok := l.kept[l.now.file]
		if !ok {
			return l.now, nil
		}
		if err := l.pourKept(file); err != nil {
			return nil, err
		}
	}
}

// needed says whether Engine may ask for a file at a place, or later.
func (l *load) needed(file string, at int) bool {
	for _, p := range l.places[at:] {
		if p.file == file && !p.again {
			return true
		}
	}
	return false
}

// keep lays a layer beside Engine's pipes.
func (l *load) keep(f imageload.Received) error {
	file := filepath.Join(l.now.dir, "kept-"+filepath.Base(f.Name))
	w, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("keeping a layer: %w", err)
	}
	if _, err := io.CopyN(w, l.in, f.Size); err != nil {
		return errors.Join(fmt.Errorf("keeping a layer: %w", err), w.Close())
	}
	l.kept[f.Name] = file
	return w.Close()
}

func (l *load) pourKept(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("reading a layer that was kept: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return l.pour(f, info.Size())
}

// pour gives Engine the layer that it waits for.
func (l *load) pour(from *os.File, size int64) error {
	to := l.now.pipe
	l.now = nil
	err := errors.Join(pour(to, from, size), to.Close())
	if !errors.Is(err, errTaker) {
		return err
	}
	// Engine says why it takes no more.
	for d := range l.demands {
		d.pipe.Close()
	}
	return errors.Join(l.failed, err)
}

// complete sees that Engine has got all that it asked for.
func (l *load) complete() error {
	if l.texts[imageload.ManifestFile] == nil {
		return errEarly
	}
	if l.asking == nil {
		return nil // it has no layers
	}
	want, err := l.feed()
	if err == nil && want != nil {
		err = fmt.Errorf("the layer %s is neither there nor in the stream", filepath.Base(want.file))
	}
	return err
}

// archive is what the stream has beside layers.
func (l *load) archive() ([]byte, error) {
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, name := range l.names {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(l.texts[name]))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(l.texts[name]); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), w.Close()
}

// end lets the waiting loads fail.
func (l *load) end() {
	if l.now != nil {
		l.now.pipe.Close()
	}
	if l.asking != nil {
		l.asking()
	}
}
