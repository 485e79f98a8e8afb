package bundle

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCut(t *testing.T) {
	text := []byte("one\ntwo\nthree\n")
	long := bytes.Repeat([]byte("line\n"), 20)
	for name, test := range map[string]struct {
		data []byte
		most int
		keep Part
		want string
	}{
		"short":        {text, 14, Tail, string(text)},
		"end":          {long, 45, Tail, "(what came before is left out)\nline\nline\n"},
		"beginning":    {long, 36, Head, "line\nline\n(the rest is left out)\n"},
		"one line":     {bytes.Repeat([]byte("x"), 90), 34, Tail, "(what came before is left out)\nxxx"},
		"of one line":  {bytes.Repeat([]byte("x"), 90), 26, Head, "xxx(the rest is left out)\n"},
		"no room":      {long, 10, Head, ""},
		"a full place": {long, 0, Tail, ""},
	} {
		if got := string(Cut(test.data, test.most, test.keep)); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestEnd(t *testing.T) {
	e := &End{Most: 10}
	for i := range 10000 {
		fmt.Fprintf(e, "line %d\n", i)
	}
	if !strings.HasSuffix(string(e.Bytes()), "line 9999\n") || len(e.kept) < 10+wholeKey || len(e.kept) > 2*(10+wholeKey) {
		t.Errorf("%d bytes", len(e.kept))
	}
}

// folder is a new one.
func folder(t *testing.T) (*Folder, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := Open(dir, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, dir
}

func TestShareIsNoLargerThanItMayBe(t *testing.T) {
	f, dir := folder(t)
	s := f.Share(100)
	s.Put("a", bytes.Repeat([]byte("line\n"), 30), 60, Tail)
	s.Put("b", bytes.Repeat([]byte("line\n"), 30), 60, Tail)
	s.Put("c", []byte("some more text than there is room for"), 60, Tail)
	s.Must("d", "a summary", 0o644)
	if data, err := os.ReadFile(filepath.Join(dir, "d")); err != nil || string(data) != "a summary" {
		t.Errorf("no room for a summary: %q, %v", data, err)
	}
	sum := 0
	for _, name := range []string{"a", "b"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sum += len(data)
	}
	if sum > 100 || s.Err() == nil || s.Err().Error() != "no room for 1 more files, as c" {
		t.Errorf("%d bytes, %v", sum, s.Err())
	}
	f.Share(1000).Put("e/f", []byte("x"), 10, Head)
	want := []File{{"a", 56, true}, {"b", 41, true}, {"d", 9, false}, {"e/f", 1, false}}
	if diff := cmp.Diff(want, f.Files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for name, want := range map[string]os.FileMode{"a": 0o600, "e": 0o700, "e/f": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestNothingIsSeenThatMustNotBe(t *testing.T) {
	f, dir := folder(t)
	got := f.Share(1000).Put("a", []byte("PASSWORD=hunter2\n"), 100, Tail)
	data, err := os.ReadFile(filepath.Join(dir, "a"))
	if err != nil || string(data) != "PASSWORD=(redacted)\n" || !bytes.Equal(got, data) {
		t.Errorf("%q, %q, %v", data, got, err)
	}
}

// Neither a name nor a link leads out of a folder.
func TestNothingIsWrittenElsewhere(t *testing.T) {
	f, dir := folder(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../outside/a", "/" + outside + "/a", outside + "/a", "link/a", "x/../../a", ""} {
		s := f.Share(1000)
		s.Put(name, []byte("text"), 100, Head)
		if s.Err() == nil {
			t.Errorf("%q is no error", name)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 || len(f.Files()) > 0 {
		t.Errorf("%v, %v, files %v", entries, err, f.Files())
	}
}
