package report

import (
	"bytes"
	"cmp"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
)

// evidenceFiles is the most files of one folder that a page lists.
const evidenceFiles = 100

// evidence is what was gathered about a failure, as the page shows it.
type evidence struct {
	Folder string
	Link   string // "" if the page may not link to it
	Files  []evidenceFile
	More   int // files that are not listed
	// Problem is why nothing is listed, "" if something is.
	Problem string
}

type evidenceFile struct {
	Name   string // below the folder
	Link   string
	Size   string
	Text   string // of a small one
	Inline bool
	Open   bool // worth a look at once
}

// first are the files that a reader wants before all others.
var first = map[string]int{"again.sh": -2, "summary.txt": -1}

// readEvidence lists a folder and takes small files in. nil if the attempt has
// no evidence.
func readEvidence(root fs.FS, folder string, budget *int64) *evidence {
	if folder == "" {
		return nil
	}
	e := &evidence{Folder: folder}
	// The report may come from anywhere: nothing outside its folder is read or
	// linked to.
	if !fs.ValidPath(path.Clean(folder)) {
		e.Problem = "not below the report's own folder"
		return e
	}
	folder = path.Clean(folder)
	e.Link = link(folder + "/")
	if root == nil {
		return e
	}
	var files []string
	err := fs.WalkDir(root, folder, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		e.Problem = "could not be read: " + err.Error()
	} else if len(files) == 0 {
		e.Problem = "the folder is empty"
	}
	slices.SortStableFunc(files, func(a, b string) int { return cmp.Compare(first[path.Base(a)], first[path.Base(b)]) })
	for i, name := range files {
		if i == evidenceFiles {
			e.More = len(files) - i
			break
		}
		e.Files = append(e.Files, readFile(root, folder, name, budget))
	}
	return e
}

func readFile(root fs.FS, folder, name string, budget *int64) evidenceFile {
	f := evidenceFile{Name: strings.TrimPrefix(name, folder+"/"), Link: link(name), Size: "?"}
	info, err := fs.Stat(root, name)
	if err != nil {
		return f
	}
	f.Size = size(info.Size())
	if info.Size() == 0 || info.Size() > min(pageEvidence, *budget) {
		return f
	}
	data, err := fs.ReadFile(root, name)
	if err != nil || bytes.IndexByte(data, 0) >= 0 {
		return f
	}
	f.Text, f.Inline, f.Open = plain(string(data)), true, first[path.Base(name)] < 0
	*budget -= int64(len(data))
	return f
}

// link is a relative reference to a path below the page's folder.
func link(name string) string { return (&url.URL{Path: name}).String() }
