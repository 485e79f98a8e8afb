package dockerload

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/imageload"
	"github.com/kluster-project/kluster/internal/wait"
)

const (
	// poll is how often is looked which pipe Engine opens, and allPolls how many of the
	// looks are for those beside the next one.
	poll     = 4 * time.Millisecond
	allPolls = 8
	// endTime bounds the end of a load that fails.
	endTime = 5 * time.Second
	// markPrefix begins the name of a session's mark, and orphanAge is when one that
	// nobody holds is of a process that was killed.
	markPrefix = "kluster-load-"
	orphanAge  = time.Minute
)

// noGzip begins like something compressed, and has no rest.
var noGzip = []byte{0x1f, 0x8b, 0x08}

// session is Engine's load of an archive with the layers of one image as named pipes.
// The uppermost is none of the image's: at its pipe Engine waits until the session ends,
// and what it then reads is not the layer that it expects.
type session struct {
	temp, mark string
	// dir is the folder that Engine has unpacked the archive in; "" until it is found.
	dir string
	// lock tells others that the session is of a living process.
	lock *os.File
	// pipes are the names of those that Engine has not opened, in its order. The last one
	// is for waiting.
	pipes []string
	first int // of them was not opened
	top   *os.File
	said  <-chan error
}

// demand is a layer that Engine waits for.
type demand struct {
	place int
	file  string
	dir   string
	pipe  *os.File
}

// ask has Engine ask for the layers of one image after the other.
func (l *load) ask(ctx context.Context, plan [][]imageload.Planned) {
	var all []*session
	defer func() {
		close(l.demands)
		<-ctx.Done()
		for _, s := range all {
			s.end()
		}
	}()
	at := 0
	for _, layers := range plan {
		s, err := l.engine.begin(context.WithoutCancel(ctx), layers)
		if err != nil {
			l.failed = err
			return
		}
		all = append(all, s)
		if l.failed = l.serve(ctx, s, at); l.failed != nil {
			return
		}
		at += len(layers)
	}
}

// serve passes on what Engine asks for, until it waits at the top. The first layer has
// the place at.
func (l *load) serve(ctx context.Context, s *session, at int) error {
	for {
		i, pipe, err := s.next(ctx)
		if err != nil {
			return err
		}
		if len(s.pipes) == 0 {
			s.top = pipe
			return nil
		}
		select {
		case l.demands <- &demand{at + i, l.places[at+i].file, s.dir, pipe}:
		case <-ctx.Done():
			pipe.Close()
			return context.Cause(ctx)
		}
	}
}

// begin has Engine begin with an image.
func (e Engine) begin(ctx context.Context, layers []imageload.Planned) (*session, error) {
	s := &session{temp: e.Temp, mark: markPrefix + rand.Text()}
	for i := range len(layers) + 1 {
		s.pipes = append(s.pipes, strconv.Itoa(i))
	}
	archive, err := s.archive(layers)
	if err != nil {
		return nil, err
	}
	said := make(chan error, 1)
	s.said = said
	go func() { said <- e.post(ctx, archive) }()
	return s, nil
}

// archive has the pipes, and what makes them an image's layers. The mark comes last.
func (s *session) archive(layers []imageload.Planned) ([]byte, error) {
	var ids []string
	for _, l := range layers {
		ids = append(ids, l.DiffID.String())
	}
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": runtime.GOARCH,
		"rootfs": map[string]any{"type": "layers", "diff_ids": append(ids, digest.FromString(s.mark).String())},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "Layers": s.pipes}})
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for _, name := range s.pipes {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeFifo, Name: name, Mode: 0o600}); err != nil {
			return nil, err
		}
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{"config.json", config}, {imageload.ManifestFile, manifest}, {s.mark, nil}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.text)), ModTime: time.Now()}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.text); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), w.Close()
}

// next waits until Engine opens one of the pipes, and says which of the layers it is for.
func (s *session) next(ctx context.Context) (int, *os.File, error) {
	for round := 0; ; round++ {
		select {
		case err := <-s.said:
			s.said = nil
			return 0, nil, errors.Join(errors.New("the engine ends a load that is not whole"), err)
		default:
		}
		i, pipe, err := s.open(round%allPolls == 0)
		if pipe != nil || err != nil {
			return i, pipe, err
		}
		if !wait.For(ctx, poll) {
			return 0, nil, context.Cause(ctx)
		}
	}
}

// open opens the pipe that Engine waits at: the next one, or with all one behind it.
// Engine has the layers of those that it left out.
func (s *session) open(all bool) (int, *os.File, error) {
	if !s.found() {
		return 0, nil, nil
	}
	look := s.pipes
	if !all {
		look = look[:1]
	}
	for i, name := range look {
		pipe, err := openPipe(filepath.Join(s.dir, name))
		if errors.Is(err, unix.ENXIO) || errors.Is(err, fs.ErrNotExist) {
			continue // nobody reads, or the load has ended
		}
		if err != nil {
			return 0, nil, fmt.Errorf("opening the engine's pipe: %w", err)
		}
		at := s.first + i
		s.pipes, s.first = s.pipes[i+1:], at+1
		return at, pipe, nil
	}
	return 0, nil, nil
}

// found says whether Engine has unpacked the archive.
func (s *session) found() bool {
	if s.dir != "" {
		return true
	}
	marks, err := filepath.Glob(filepath.Join(s.temp, "docker-import-*", s.mark))
	if err != nil || len(marks) == 0 {
		return false
	}
	if s.lock, err = os.Open(marks[0]); err != nil {
		return false
	}
	// Nobody else knows of it.
	_ = unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	s.dir = filepath.Dir(marks[0])
	return true
}

// end lets Engine's load fail, and waits for that. Engine may be about to open a pipe.
func (s *session) end() {
	if s.top != nil {
		// That the layer is none Engine sees from this before it makes room for it.
		_, _ = s.top.Write(noGzip)
		s.top.Close()
	}
	if s.lock != nil {
		defer s.lock.Close()
	}
	if s.said == nil {
		return
	}
	for deadline := time.Now().Add(endTime); time.Now().Before(deadline); {
		select {
		case failure := <-s.said:
			_ = failure // as it shall
			return
		case <-time.After(poll):
		}
		if len(s.pipes) == 0 {
			continue
		}
		if _, pipe, err := s.open(true); err == nil && pipe != nil {
			_ = pipe.Close() // it is empty, and Engine's load fails at its end
		}
	}
}

// sweep ends sessions of processes that were killed in just the moment when Engine was
// about to open a pipe, which it would wait at for ever.
func (e Engine) sweep() {
	marks, err := filepath.Glob(filepath.Join(e.Temp, "docker-import-*", markPrefix+"*"))
	if err != nil {
		return
	}
	for _, mark := range marks {
		if info, err := os.Stat(mark); err == nil && time.Since(info.ModTime()) > orphanAge {
			endOrphan(mark)
		}
	}
}

func endOrphan(mark string) {
	lock, err := os.Open(mark)
	if err != nil {
		return
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	dir := filepath.Dir(mark)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if entry.Type()&fs.ModeNamedPipe == 0 {
			continue
		}
		if pipe, err := openPipe(filepath.Join(dir, entry.Name())); err == nil {
			pipe.Close()
		}
	}
}
