package runner

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kluster-project/kluster/e2e/event"
	"github.com/kluster-project/kluster/internal/wait"
)

// follower reads what ginkgo prints of a suite that tells nothing itself, and
// tells the Watch of it. It is for the eye alone: what counts is in ginkgo's
// report at the end.
type follower struct {
	planned map[string]bool
	serial  bool // one process: names are printed when specs begin
	tell    func(event.Event)

	rest  []byte       // of a line that has not ended
	ended *event.Event // the spec that ended, whose name is still to come
	begun string
}

// followTick is how often the log is looked at.
const followTick = time.Second

// followLog follows the suite's log from a place on, as long as the suite tells
// nothing itself, until it is stopped.
func (r *run) followLog(what round, from int64) (stop func()) {
	r.followed = map[string]bool{}
	f := follower{planned: map[string]bool{}, serial: what.procs == 1, tell: func(e event.Event) {
		if r.heard.Load() {
			return
		}
		if e.Kind == event.End {
			r.followed[e.Spec] = true
		}
		r.Watch.Event(r.Cluster, e)
	}}
	for _, name := range what.Names() {
		f.planned[name] = true
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { f.follow(ctx, filepath.Join(r.Dir, LogFile), from) })
	return func() {
		cancel()
		group.Wait()
	}
}

// follow reads the log from a place on until ctx ends.
func (f *follower) follow(ctx context.Context, path string, from int64) {
	file, err := os.Open(path)
	if err != nil {
		return // there is nothing to see
	}
	defer file.Close()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return
	}
	for buffer := make([]byte, 64<<10); wait.For(ctx, followTick); {
		for {
			n, err := file.Read(buffer)
			f.write(buffer[:n])
			if n == 0 || err != nil {
				break
			}
		}
	}
}

// write takes in a part of the log.
func (f *follower) write(part []byte) {
	f.rest = append(f.rest, part...)
	for {
		line, rest, ok := bytes.Cut(f.rest, []byte("\n"))
		if !ok {
			return
		}
		f.rest = rest
		f.line(string(line))
	}
}

// endLine is what ginkgo prints when a spec has ended: "• [FAILED] [1.234 seconds]".
var endLine = regexp.MustCompile(`^(?:•|S) (?:\[([A-Z]+)\] )?\[([0-9.]+) seconds\]$`)

func (f *follower) line(line string) {
	if m := endLine.FindStringSubmatch(line); m != nil {
		state := strings.ToLower(m[1])
		if state == "" {
			state = "passed"
		}
		seconds, _ := strconv.ParseFloat(m[2], 64)
		f.ended = &event.Event{Time: time.Now(), Kind: event.End, State: state, Seconds: seconds}
		if state != "passed" {
			f.ended.Message = "see " + LogFile
		}
		return
	}
	name := f.name(line)
	switch {
	case f.ended != nil:
		// Of a spec that passed alone, the name was printed before.
		if f.ended.Spec = name; name == "" {
			f.ended.Spec = f.begun
		}
		if f.ended.Spec != "" {
			f.tell(*f.ended)
		}
		f.ended, f.begun = nil, ""
	case f.serial && name != "" && name != f.begun:
		f.begun = name
		f.tell(event.Event{Time: time.Now(), Kind: event.Start, Proc: 1, Spec: name})
	}
}

// name is the planned spec that a line names, or "": "container [It] leaf [label, ...]".
func (f *follower) name(line string) string {
	line = strings.Replace(line, " [It] ", " ", 1)
	for line != "" && !f.planned[line] {
		line = line[:max(0, strings.LastIndex(line, " ["))]
	}
	return line
}
