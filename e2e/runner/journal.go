package runner

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/e2e/report"
	"github.com/kluster-project/kluster/internal/failure"
)

// JournalFile is the journal's name in the folder of a report.
const JournalFile = "events.jsonl"

// Kinds of lines beside those of package event.
const (
	kindBegin    event.Kind = "begin"    // a program of the suite begins
	kindIncident event.Kind = "incident" // Message is set
	kindOver     event.Kind = "over"     // it has ended; Message says why before its time, or is ""
)

// entry is a line of the journal: an event, and what the runner adds.
type entry struct {
	event.Event
	Cluster string `json:"cluster,omitempty"`
	// Evidence is the folder with what was collected for a failing spec.
	Evidence string `json:"evidence,omitempty"`
	// Begin is set with kindBegin.
	Begin *begin `json:"begin,omitempty"`
}

// begin says what a program of the suite is about to run.
type begin struct {
	Suite  string        `json:"suite"`
	Round  int           `json:"round"` // 0, then 1 and on for specs that had failed
	Procs  int           `json:"procs"`
	Seed   int64         `json:"seed"`
	Filter report.Filter `json:"filter"`
	// Clusters and Parts are what it runs on and with.
	Clusters []report.Cluster `json:"clusters,omitempty"`
	Parts    []report.Part    `json:"parts,omitempty"`
	// Plan is the whole plan, in the first line alone.
	Plan *Plan `json:"plan,omitempty"`
}

// journal appends lines to a file.
type journal struct {
	mu   sync.Mutex
	file *os.File
	log  history
}

// maxLine bounds what a line may hold.
const maxLine = 8 << 20

// errNotBegun is a journal whose first line was not written, or not whole.
var errNotBegun = errors.New("no spec of it ran")

// opening is what may be done to open a journal: to begin one, to take one up. With
// both it is begun where there is none, or nothing in it.
type opening struct{ begin, resume bool }

func (o opening) flags() int {
	flags := os.O_RDWR | os.O_APPEND
	if o.begin {
		flags |= os.O_CREATE
	}
	if !o.resume {
		flags |= os.O_EXCL
	}
	return flags
}

// openJournal opens the journal of a folder to append to it.
func openJournal(dir string, how opening) (*journal, error) {
	file, err := os.OpenFile(filepath.Join(dir, JournalFile), how.flags(), 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	j := &journal{file: file}
	err = j.lock()
	if err == nil && how.resume {
		j.log, err = readJournal(dir)
		if how.begin && errors.Is(err, errNotBegun) {
			err = file.Truncate(0)
		}
	}
	if err == nil && how.resume {
		err = j.endLine()
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return j, nil
}

// lock keeps the journal for this process, until it is closed.
func (j *journal) lock() error {
	err := syscall.Flock(int(j.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return failure.New(fmt.Sprintf("the run of %s is still under way", filepath.Dir(j.file.Name())),
			failure.Hint("wait for its end, or interrupt it"))
	}
	if err != nil {
		return fmt.Errorf("locking the journal: %w", err)
	}
	return nil
}

// endLine ends a line that was cut off, so that the next is one of its own.
func (j *journal) endLine() error {
	size, err := j.file.Seek(0, io.SeekEnd)
	last := []byte{'\n'}
	if err == nil && size > 0 {
		_, err = j.file.ReadAt(last, size-1)
	}
	if err == nil && last[0] != '\n' {
		_, err = j.file.Write([]byte{'\n'})
	}
	if err != nil {
		return fmt.Errorf("taking up the journal: %w", err)
	}
	return nil
}

// add appends a line, whole or not at all.
func (j *journal) add(e entry) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.log = append(j.log, e)
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

// history is what has been added, in order.
func (j *journal) history() history {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log[:len(j.log):len(j.log)]
}

// close ends the journal. One in which nothing was written is removed.
func (j *journal) close() error {
	if len(j.history()) == 0 {
		os.Remove(j.file.Name())
	}
	return j.file.Close()
}

// readJournal reads the journal of a folder.
func readJournal(dir string) (history, error) {
	path := filepath.Join(dir, JournalFile)
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	defer file.Close()
	log, err := parseJournal(file)
	if err != nil {
		return nil, fmt.Errorf("reading the journal %s: %w", path, err)
	}
	return log, nil
}

// parseJournal reads lines. A line that was cut off is left out: the process
// that wrote it was killed, and what it said had not happened for the reader.
func parseJournal(r io.Reader) (history, error) {
	var log history
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			switch {
			case !cutOff(err):
				return nil, fmt.Errorf("line %d: %w", n, err)
			case n == 1:
				return nil, fmt.Errorf("line 1: %w: %w", err, errNotBegun)
			}
			continue
		}
		if e.Kind == kindBegin && e.Begin == nil {
			return nil, fmt.Errorf("line %d: it does not say what begins", n)
		}
		log = append(log, e)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(log) == 0 {
		return nil, fmt.Errorf("it does not begin with a plan: %w", errNotBegun)
	}
	if log[0].Begin == nil || log[0].Begin.Plan == nil {
		return nil, errors.New("it does not begin with a plan")
	}
	return log, nil
}

// cutOff says whether the error is that of a JSON text that ends too early.
func cutOff(err error) bool {
	var syntax *json.SyntaxError
	return errors.As(err, &syntax) && syntax.Error() == "unexpected end of JSON input"
}
