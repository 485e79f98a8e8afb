package pieces

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/iotest"
)

// stream is texts and files of all sizes, and what they come to.
func stream(t *testing.T) (Seq, []byte) {
	t.Helper()
	data := make([]byte, 5<<20+11)
	_, _ = rand.Read(data)
	f := fileOf(t, data)
	small := fileOf(t, []byte("small"))
	all := []Piece{
		{Text: []byte("head")},
		{File: f, Offset: 3, Size: 3 << 20},
		{File: small, Size: 5},
		{},
		{Text: data[:bufferSize+1]},
		{File: f, Offset: 3<<20 + 3, Size: int64(len(data)) - 3<<20 - 3},
		{File: small, Offset: 1, Size: 3},
		{Text: []byte("tail")},
	}
	want := bytes.Join([][]byte{[]byte("head"), data[3 : 3<<20+3], []byte("small"), data[:bufferSize+1], data[3<<20+3:], []byte("mal"), []byte("tail")}, nil)
	return of(all...), want
}

func of(all ...Piece) Seq {
	return func(yield func(Piece, error) bool) {
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func fileOf(t *testing.T, data []byte) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestRead(t *testing.T) {
	file, want := fileOf(t, []byte("some file")), []byte("some text, more text, some, file")
	seq := of(Piece{Text: want[:11]}, Piece{}, Piece{Text: want[11:22]}, Piece{File: file, Size: 4}, Piece{Text: want[26:28]}, Piece{File: file, Offset: 5, Size: 4})
	if err := iotest.TestReader(NewReader(t.Context(), seq, nil), want); err != nil {
		t.Error(err)
	}
}

func TestWriteTo(t *testing.T) {
	seq, want := stream(t)
	for name, write := range map[string]func(r *Reader) ([]byte, error){
		"anything":           buffered,
		"a pipe":             func(r *Reader) ([]byte, error) { return piped(t, r) },
		"a pipe that blocks": func(r *Reader) ([]byte, error) { return pipedBy(t, r, blockingPipe) },
	} {
		t.Run(name, func(t *testing.T) {
			noted := int64(0)
			r := NewReader(t.Context(), seq, func(n int64) { noted += n })
			got, err := write(r)
			if err != nil || r.Err() != nil || !bytes.Equal(got, want) {
				t.Errorf("got %d of %d bytes, errors %v, %v", len(got), len(want), err, r.Err())
			}
			if noted != int64(len(want)) {
				t.Errorf("noted %d bytes of %d", noted, len(want))
			}
		})
	}
}

func buffered(r *Reader) ([]byte, error) {
	var got bytes.Buffer
	_, err := r.WriteTo(&got)
	return got.Bytes(), err
}

// blockingPipe is one as a shell makes it for its commands.
func blockingPipe() (from, to *os.File, err error) {
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "from"), os.NewFile(uintptr(fds[1]), "to"), nil
}

// piped reads through a pipe.
func piped(t *testing.T, r *Reader) ([]byte, error) {
	t.Helper()
	return pipedBy(t, r, os.Pipe)
}

func pipedBy(t *testing.T, r *Reader, pipe func() (from, to *os.File, err error)) ([]byte, error) {
	t.Helper()
	from, to, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	done := make(chan error, 1)
	go func() {
		_, err := r.WriteTo(to)
		done <- errors.Join(err, to.Close())
	}()
	got, err := io.ReadAll(from)
	return got, errors.Join(err, <-done)
}

// The error of a file is the stream's, however it is read.
func TestFileThatIsShort(t *testing.T) {
	for name, size := range map[string]int64{"long": 1 << 20, "small": 10} {
		seq := of(Piece{File: fileOf(t, make([]byte, size)), Size: size + 1}, Piece{Text: []byte("never")})
		for way, read := range map[string]func(r *Reader) ([]byte, error){
			"read": func(r *Reader) ([]byte, error) { return io.ReadAll(r) },
			"pipe": func(r *Reader) ([]byte, error) { return piped(t, r) },
		} {
			r := NewReader(t.Context(), seq, nil)
			got, err := read(r)
			if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(r.Err(), io.ErrUnexpectedEOF) || int64(len(got)) > size {
				t.Errorf("%s, %s: %d bytes, %v, %v", name, way, len(got), err, r.Err())
			}
		}
	}
}

func TestErrorOfTheStream(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(t.Context(), Fail(broken), nil)
	if _, err := piped(t, r); !errors.Is(err, broken) || !errors.Is(r.Err(), broken) {
		t.Errorf("errors %v, %v", err, r.Err())
	}
}

// Who takes no more says itself why.
func TestReaderOfAPipeGoes(t *testing.T) {
	seq, _ := stream(t)
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	r, done := NewReader(t.Context(), seq, nil), make(chan error, 1)
	go func() {
		_, err := r.WriteTo(to)
		done <- err
	}()
	if _, err := io.ReadFull(from, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	from.Close()
	if err := <-done; !errors.Is(err, syscall.EPIPE) || r.Err() != nil {
		t.Errorf("errors %v, %v", err, r.Err())
	}
}

// Closing a pipe ends a write that waits for room.
func TestClose(t *testing.T) {
	seq, _ := stream(t)
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	began := make(chan struct{}, 100)
	r, done := NewReader(t.Context(), seq, func(int64) { began <- struct{}{} }), make(chan error, 1)
	go func() {
		_, err := r.WriteTo(to)
		done <- err
	}()
	<-began
	to.Close()
	r.Close()
	if err := <-done; err == nil || r.Err() != nil {
		t.Errorf("errors %v, %v", err, r.Err())
	}
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("a closed reader reads")
	}
}

// The end of its context ends what is being read with what is written just then, even of a
// single piece.
func TestContextEnds(t *testing.T) {
	interrupted := errors.New("interrupted")
	big := fileOf(t, make([]byte, 4*maxSplice))
	for way, read := range map[string]func(r *Reader) ([]byte, error){
		"read":     func(r *Reader) ([]byte, error) { return io.ReadAll(r) },
		"pipe":     func(r *Reader) ([]byte, error) { return piped(t, r) },
		"anything": buffered,
	} {
		ctx, end := context.WithCancelCause(t.Context())
		seq := of(Piece{File: big, Size: 4 * maxSplice}, Piece{Text: []byte("never")})
		r := NewReader(ctx, seq, func(int64) { end(interrupted) })
		got, err := read(r)
		if !errors.Is(err, interrupted) || r.Err() != nil || len(got) == 0 || len(got) > maxSplice {
			t.Errorf("%s: %d bytes, errors %v, %v", way, len(got), err, r.Err())
		}
	}
}

// What was only collected when the context ends is not written, though it is all there is.
func TestContextEndsLast(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	seq := func(yield func(Piece, error) bool) {
		yield(Piece{Text: []byte("never")}, nil)
		end()
	}
	if got, err := buffered(NewReader(ctx, seq, nil)); !errors.Is(err, context.Canceled) || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// A closed reader asks for no piece, for what those are of may be used otherwise by then.
func TestClosedReadsNothing(t *testing.T) {
	r := NewReader(t.Context(), func(func(Piece, error) bool) { t.Error("it was read") }, nil)
	r.Close()
	if _, err := buffered(r); !errors.Is(err, errClosed) || r.Err() != nil {
		t.Errorf("errors %v, %v", err, r.Err())
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, errClosed) {
		t.Errorf("read: %v", err)
	}
}

// A stream that has failed does not seem to have come to its end.
func TestErrorStays(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		seq  Seq
		want error
	}{
		"of the stream": {Fail(broken), broken},
		"of a file":     {of(Piece{File: fileOf(t, nil), Size: 1}), io.ErrUnexpectedEOF},
	} {
		r := NewReader(t.Context(), tt.seq, nil)
		for range 2 {
			if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, tt.want) {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		}
	}
}
