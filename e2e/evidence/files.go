package evidence

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// The most bytes of evidence.
const (
	mostOfFolder = 24 << 20
	mostOfFile   = 2 << 20
	mostOfLog    = 256 << 10
)

// part says which part of something too long is kept.
type part bool

const (
	head part = false
	tail part = true
)

// files are those of one folder, which has a size it does not grow beyond.
type files struct {
	root string

	mu   sync.Mutex
	left int
	errs []error
}

// put writes a file, without what must not be seen, and no longer than most. An
// empty one is left out.
func (f *files) put(name string, data []byte, most int, keep part) {
	data = redact(data)
	if len(data) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	data = cut(data, min(most, f.left), keep)
	if len(data) == 0 {
		f.errs = append(f.errs, fmt.Errorf("%s: the folder is full", name))
		return
	}
	f.left -= len(data)
	f.write(name, data, 0o644)
}

// must writes one of the files that a full folder has too.
func (f *files) must(name, text string, mode os.FileMode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.write(name, cut(redact([]byte(text)), mostOfFile, head), mode)
}

// write notes what goes wrong.
func (f *files) write(name string, data []byte, mode os.FileMode) {
	path := filepath.Join(f.root, filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, data, mode)
	}
	f.errs = append(f.errs, err)
}

func (f *files) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

// cut keeps most bytes of a text at one end, whole lines if there are any, and says
// so where the others were.
func cut(data []byte, most int, keep part) []byte {
	if len(data) <= most {
		return data
	}
	note := []byte("(the rest is left out)\n")
	if keep == tail {
		note = []byte("(what came before is left out)\n")
	}
	most -= len(note)
	if most <= 0 {
		return nil
	}
	if keep == tail {
		kept := data[len(data)-most:]
		if _, lines, ok := bytes.Cut(kept, []byte("\n")); ok && len(lines) > 0 {
			kept = lines
		}
		return slices.Concat(note, kept)
	}
	kept := data[:most]
	if i := bytes.LastIndexByte(kept, '\n'); i > 0 {
		kept = kept[:i+1]
	}
	return slices.Concat(kept, note)
}

// end is a writer that keeps the end of what is written: most bytes, and some more,
// so that what must not be seen is still whole when it is looked for.
type end struct {
	most int
	kept []byte
}

// wholeKey is more than a private key has.
const wholeKey = 16 << 10

func (e *end) Write(p []byte) (int, error) {
	e.kept = append(e.kept, p...)
	// Twice as much is let in, so that not every write moves all of it.
	if least := e.most + wholeKey; len(e.kept) > 2*least {
		e.kept = append(e.kept[:0], e.kept[len(e.kept)-least:]...)
	}
	return len(p), nil
}

// folderName is a name for a spec that any file system takes: a readable part, and
// one by which no two specs share it.
func folderName(spec string) string {
	const most = 60
	var b strings.Builder
	for _, r := range strings.ToLower(spec) {
		letter := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		switch {
		case letter:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= most {
			break
		}
	}
	sum := sha256.Sum256([]byte(spec))
	return strings.TrimPrefix(fmt.Sprintf("%s-%x", strings.TrimSuffix(b.String(), "-"), sum[:4]), "-")
}
