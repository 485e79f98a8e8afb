// Package bundle writes the evidence of a failure into a folder. Whatever the names of
// files are, nothing is written outside of it; no text holds what must not be seen
// (package redact); and no part grows beyond its size.
package bundle

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/kluster-project/kluster/internal/redact"
)

// Folder is one that exists. Its methods and those of its shares may be called by
// several goroutines at once.
type Folder struct {
	root *os.Root
	mode os.FileMode

	mu    sync.Mutex
	files []File
}

// File is a file that was written.
type File struct {
	Name string `json:"name"` // with slashes, from the folder on
	Size int    `json:"size"` // bytes
	// Cut: something of it was left out.
	Cut bool `json:"cut,omitempty"`
}

// Open gives the folder at dir, whose new files get a mode (0600) and whose new
// folders the same with the right to enter them.
func Open(dir string, mode os.FileMode) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder for evidence: %w", err)
	}
	return &Folder{root: root, mode: mode}, nil
}

// Close ends the use of the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Files are those written so far, by name.
func (f *Folder) Files() []File {
	f.mu.Lock()
	defer f.mu.Unlock()
	files := slices.Clone(f.files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files
}

// Share is a part of a folder that takes most bytes.
func (f *Folder) Share(most int) *Share { return &Share{folder: f, left: most} }

func (f *Folder) write(name string, data []byte, mode os.FileMode, cut bool) error {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return fmt.Errorf("%q is outside of the folder", name)
	}
	if dir := path.Dir(name); dir != "." {
		if err := f.root.MkdirAll(dir, f.mode|f.mode&0o444>>2); err != nil {
			return fmt.Errorf("making the folder of %s: %w", name, err)
		}
	}
	if err := f.root.WriteFile(name, data, mode); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files = append(slices.DeleteFunc(f.files, func(old File) bool { return old.Name == name }), File{name, len(data), cut})
	return nil
}

// Share is a part of a folder with a size that it does not grow beyond.
type Share struct {
	folder *Folder

	mu   sync.Mutex
	left int
	full []string // files that there was no room for
	errs []error
}

// Put writes a file, without what must not be seen, and no longer than most, and gives
// what it holds then. An empty one is left out.
func (s *Share) Put(name string, data []byte, most int, keep Part) []byte {
	data = redact.Text(data)
	if len(data) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	whole := len(data)
	data = Cut(data, min(most, s.left), keep)
	if len(data) == 0 {
		s.full = append(s.full, name)
		return nil
	}
	s.left -= len(data)
	if err := s.folder.write(name, data, s.folder.mode, len(data) < whole); err != nil {
		s.errs = append(s.errs, err)
	}
	return data
}

// mostOfMust bounds a file that has to be there.
const mostOfMust = 2 << 20

// Must writes one of the files that a full share has too.
func (s *Share) Must(name, text string, mode os.FileMode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := Cut(redact.Text([]byte(text)), mostOfMust, Head)
	if err := s.folder.write(name, data, mode, false); err != nil {
		s.errs = append(s.errs, err)
	}
}

// Err is what went wrong so far.
func (s *Share) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := slices.Clone(s.errs)
	if n := len(s.full); n > 0 {
		errs = append(errs, fmt.Errorf("no room for %d more files, as %s", n, strings.Join(s.full[:min(n, 3)], ", ")))
	}
	return errors.Join(errs...)
}
