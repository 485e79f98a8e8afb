package providertest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/provider"
)

// copied is what the contract compares of a file.
type copied struct {
	Mode     int64
	UID, GID int
	Data     string
}

// TestCopy streams files in and out, before a node's start and after it.
func (s *suite) TestCopy(t *testing.T) {
	node := s.create(t, s.spec("a"))
	stream, err := Tar(
		File{tar.Header{Name: "data/in/", Mode: 0o750, Uid: 7, Gid: 8, Typeflag: tar.TypeDir}, nil},
		File{tar.Header{Name: "data/in/secret", Mode: 0o600, Uid: 1234, Gid: 5678, Typeflag: tar.TypeReg}, []byte("text")},
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.p.CopyTo(t.Context(), node.ID, "/", bytes.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	want := map[string]copied{
		"in/":       {0o750, 7, 8, ""},
		"in/secret": {0o600, 1234, 5678, "text"},
	}
	for _, state := range []string{"created", "running"} {
		if diff := cmp.Diff(want, s.read(t, node.ID, "/data/in")); diff != "" {
			t.Errorf("folder of the %s node (-want +got):\n%s", state, diff)
		}
		if err := s.p.StartNode(t.Context(), node.ID); err != nil {
			t.Fatal(err)
		}
	}
	file := map[string]copied{"secret": want["in/secret"]}
	if diff := cmp.Diff(file, s.read(t, node.ID, "/data/in/secret")); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	wantIs(t, s.p.CopyTo(t.Context(), node.ID, "/missing", bytes.NewReader(stream)), provider.ErrNotFound)
	_, err = s.p.CopyFrom(t.Context(), node.ID, "/data/missing")
	wantIs(t, err, provider.ErrNotFound)
}

// read copies a file or folder out of a node.
func (s *suite) read(t *testing.T, id, path string) map[string]copied {
	t.Helper()
	stream, err := s.p.CopyFrom(t.Context(), id, path)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	files := map[string]copied{}
	for tr := tar.NewReader(stream); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = copied{header.Mode & 0o7777, header.Uid, header.Gid, string(data)}
	}
}
