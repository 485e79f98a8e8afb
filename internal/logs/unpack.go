package logs

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/bundle"
)

// wanted says whether a file of a tar is taken.
type wanted func(name string) bool

func anyFile(string) bool { return true }

func logsOnly(name string) bool {
	base := path.Base(name)
	return strings.Contains(base, ".log") && !strings.HasSuffix(base, ".gz")
}

// unpack takes the files of a tar that a machine gave into a folder below the
// machine's own. A machine's word is not trusted: what is no file, as links and
// devices, is left out, and so are names that lead elsewhere. No more than most bytes
// are read, 0 for no limit.
func (n *nodeExport) unpack(stream io.Reader, below string, take wanted, most int64) error {
	limited := &io.LimitedReader{R: stream, N: cmp.Or(most, 1<<62)}
	for archive := tar.NewReader(limited); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if limited.N <= 0 {
			return fmt.Errorf("more than %d MiB: the rest is left out", most>>20)
		}
		if err != nil {
			return err
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		name := path.Clean(strings.TrimPrefix(header.Name, "./"))
		if header.Typeflag != tar.TypeReg || !filepath.IsLocal(header.Name) {
			n.miss(n.file(path.Join(below, "...")), fmt.Errorf("%q is no plain file below its folder, and left out", header.Name))
			continue
		}
		if !take(name) {
			continue
		}
		n.unpackFile(archive, path.Join(strings.TrimPrefix(below, "/"), name))
	}
}

// unpackFile keeps the end of one file.
func (n *nodeExport) unpackFile(r io.Reader, name string) {
	text := &bundle.End{Most: mostOfLog}
	var w io.Writer = text
	if isPodLog(name) && !n.Since.IsZero() {
		w = &sinceWriter{since: n.Since, w: text}
	}
	_, err := io.Copy(w, r)
	kept := n.share.Put(n.file(name), text.Bytes(), mostOfLog, bundle.Tail)
	n.miss(n.file(name), err)
	if isPodLog(name) {
		n.remember(name, kept)
	}
}

// isPodLog: "pods/NAMESPACE_POD_UID/CONTAINER/0.log", below a machine's folder.
func isPodLog(name string) bool {
	return strings.HasPrefix(name, "pods/") && strings.Count(name, "/") == 3
}

// podKey names a container of a pod.
func podKey(namespace, pod, container string) string { return namespace + "/" + pod + "/" + container }

// logFile is a log of a container: its life, counted from 0, and where it is.
type logFile struct {
	life int
	name string
}

// remember keeps the last line of a container's log, of its last life that said any.
func (n *nodeExport) remember(name string, text []byte) {
	parts := strings.Split(name, "/")
	who := strings.Split(parts[1], "_")
	line := lastLine(text)
	if len(who) != 3 || line == "" {
		return
	}
	number, _, _ := strings.Cut(parts[3], ".")
	life, err := strconv.Atoi(number)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lastFiles == nil {
		n.lastFiles = map[string]logFile{}
	}
	key := podKey(who[0], who[1], parts[2])
	if before, ok := n.lastFiles[key]; !ok || before.life < life {
		n.lastFiles[key] = logFile{life, n.file(name)}
		n.lastLines[key] = line
	}
}

// lastLine is the last line of a container's log that is not empty, without what the
// runtime wrote before it.
func lastLine(text []byte) string {
	lines := bytes.Split(text, []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		if said := strings.TrimSpace(saidIn(lines[i])); said != "" {
			return clip(said, 300)
		}
	}
	return ""
}

// saidIn is what a program said in a line of its log: in the form of the CRI ("TIME
// stdout F TEXT") or of Docker (JSON).
func saidIn(line []byte) string {
	if _, ok := lineTime(line); !ok {
		return string(line)
	}
	var entry dockerLine
	if line[0] == '{' && json.Unmarshal(line, &entry) == nil {
		return entry.Log
	}
	if parts := bytes.SplitN(line, []byte(" "), 4); len(parts) == 4 {
		return string(parts[3])
	}
	return string(line)
}

// dockerLine is a line of a log that Docker wrote.
type dockerLine struct {
	Log  string    `json:"log"`
	Time time.Time `json:"time"`
}

// lineTime is when a line of a container's log was said, false if that is not told.
func lineTime(line []byte) (time.Time, bool) {
	if len(line) > 0 && line[0] == '{' {
		var entry dockerLine
		err := json.Unmarshal(line, &entry)
		return entry.Time, err == nil && !entry.Time.IsZero()
	}
	word, _, _ := bytes.Cut(line, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(word))
	return at, err == nil
}

// sinceWriter leaves out the lines before the first that is new enough.
type sinceWriter struct {
	since time.Time
	w     io.Writer
	open  bool
	line  []byte // begun
}

// longestLine is more than a runtime writes in one.
const longestLine = 64 << 10

func (s *sinceWriter) Write(p []byte) (int, error) {
	all := len(p)
	for !s.open && len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			if len(s.line) < longestLine {
				s.line = append(s.line, p...)
			}
			return all, nil
		}
		s.line = append(s.line, p[:end+1]...)
		p = p[end+1:]
		if at, ok := lineTime(s.line); ok && !at.Before(s.since) {
			s.open = true
			if _, err := s.w.Write(s.line); err != nil {
				return 0, err
			}
		}
		s.line = s.line[:0]
	}
	if len(p) > 0 {
		if _, err := s.w.Write(p); err != nil {
			return 0, err
		}
	}
	return all, nil
}
