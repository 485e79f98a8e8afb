package kubernetes

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// socketEnv names the runner's unix socket.
const socketEnv = "KLUSTER_E2E_SOCKET"

const (
	// ackTimeout is how long a spec that has failed waits before it cleans up.
	ackTimeout = time.Minute
	// writeTimeout is for a runner that does not read.
	writeTimeout = 10 * time.Second
	// maxOutput is how much of a spec's output is told, its last part.
	maxOutput = 256 << 10
	// maxMessage is how much of a failure's message is told, its first part.
	maxMessage = 64 << 10
)

// event is a line to the runner, the same as Event of kluster's package event.
type event struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"`
	Proc     int       `json:"proc"`
	Spec     string    `json:"spec"`
	Labels   []string  `json:"labels,omitempty"`
	State    string    `json:"state,omitempty"`
	Seconds  float64   `json:"seconds,omitempty"`
	Message  string    `json:"message,omitempty"`
	Location string    `json:"location,omitempty"`
	Output   string    `json:"output,omitempty"`
	RunID    string    `json:"runID,omitempty"`
}

// runID is the label of the namespaces that this process makes.
var runID string

// tell has the runner told about every spec, where there is one. It must be called
// when nobody previews specs any more: a preview "runs" these nodes too, and
// leaves the suite without its own.
func tell() {
	if config, _ := ginkgo.GinkgoConfiguration(); config.DryRun || os.Getenv(socketEnv) == "" {
		return
	}
	ginkgo.ReportBeforeEach(begins)
	ginkgo.JustAfterEach(fails)
	ginkgo.ReportAfterEach(ends)
}

func begins(r types.SpecReport) {
	if r.State == types.SpecStateInvalid { // it will run
		runner.send(about(r, "start"))
	}
}

func fails(ctx ginkgo.SpecContext) {
	r := ginkgo.CurrentSpecReport()
	if !r.Failed() || r.State.Is(types.SpecStateInterrupted|types.SpecStateAborted) {
		return
	}
	e := about(r, "failing")
	e.Message, e.Location = message(r), location(r)
	select {
	case <-runner.acks: // of an earlier failure, too late
	default:
	}
	if !runner.send(e) {
		return
	}
	select {
	case <-runner.acks:
	case <-time.After(ackTimeout):
	case <-ctx.Done():
	}
}

func ends(r types.SpecReport) {
	if !runner.began(r) {
		return
	}
	if r.State == types.SpecStatePassed && r.MaxFlakeAttempts > 0 {
		// The suite tried again by itself, and only the last attempt passed.
		for _, f := range r.AdditionalFailures {
			failed := about(r, "end")
			failed.State, failed.Message = f.State.String(), clipped(f.Failure.Message)
			runner.send(failed)
			runner.send(about(r, "start"))
		}
	}
	e := about(r, "end")
	e.State, e.Seconds = state(r), r.RunTime.Seconds()
	if r.State != types.SpecStatePassed {
		e.Message, e.Location, e.Output = message(r), location(r), output(r)
	}
	runner.send(e)
}

// state is ginkgo's word for what became of a spec. A spec that was about to begin
// when the suite was interrupted is "skipped" without a reason: it never ran.
func state(r types.SpecReport) string {
	if r.State == types.SpecStateSkipped && r.Failure.IsZero() {
		return types.SpecStateInterrupted.String()
	}
	return r.State.String()
}

// about is an event of a spec, now.
func about(r types.SpecReport, kind string) event {
	return event{
		Time: time.Now(), Kind: kind, Proc: ginkgo.GinkgoParallelProcess(),
		Spec: r.FullText(), Labels: r.Labels(), RunID: runID,
	}
}

// message is all that went wrong.
func message(r types.SpecReport) string {
	texts := []string{failure(r.Failure)}
	for _, f := range r.AdditionalFailures {
		texts = append(texts, "and then: "+failure(f.Failure))
	}
	return clipped(strings.Join(texts, "\n"))
}

func clipped(message string) string {
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + " ..."
	}
	return message
}

func failure(f types.Failure) string {
	if f.ForwardedPanic != "" {
		return f.Message + ": " + f.ForwardedPanic
	}
	return f.Message
}

// location of the failure, or "".
func location(r types.SpecReport) string {
	if r.Failure.Location.FileName == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", r.Failure.Location.FileName, r.Failure.Location.LineNumber)
}

// output is the end of what the spec wrote.
func output(r types.SpecReport) string {
	text := r.CapturedGinkgoWriterOutput + r.CapturedStdOutErr
	if len(text) > maxOutput {
		text = strings.ToValidUTF8(text[len(text)-maxOutput:], "")
	}
	return text
}

// runner is who is told; nobody without a socket.
var runner = &listener{path: os.Getenv(socketEnv), acks: make(chan struct{}, 1)}

// listener is the connection to the runner. A node that is interrupted goes on
// beside the next one, so it is used by several goroutines.
type listener struct {
	path string
	acks chan struct{}

	mu   sync.Mutex
	conn net.Conn // nil while there is nobody to tell
	spec string   // the last that was told to start
}

// send tells the runner, and says whether it was told.
func (l *listener) send(e event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		l.connect()
	}
	if l.conn == nil {
		return false
	}
	if e.Kind == "start" {
		l.spec = e.Spec
	}
	line, err := json.Marshal(e)
	if err == nil {
		_ = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err = l.conn.Write(append(line, '\n'))
	}
	if err != nil {
		stop(fmt.Errorf("telling the runner: %w", err))
		l.conn = nil
	}
	return err == nil
}

// began says whether the runner shall hear of the end of a spec: not of one that
// was filtered out, nor of one that an interruption kept from its start.
func (l *listener) began(r types.SpecReport) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.State {
	case types.SpecStatePending:
		return false
	case types.SpecStateSkipped, types.SpecStateInterrupted:
		return l.spec == r.FullText() || r.State == types.SpecStateSkipped && r.Failure.Message != ""
	default:
		return true
	}
}

// connect is tried once.
func (l *listener) connect() {
	path := l.path
	l.path = ""
	if path == "" {
		return
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		stop(err)
		return
	}
	l.conn = conn
	go l.listen(conn)
}

// listen takes the runner's answers for as long as there is a runner.
func (l *listener) listen(conn net.Conn) {
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		select {
		case l.acks <- struct{}{}:
		default: // nobody waits any more
		}
	}
	stop(fmt.Errorf("the runner is gone"))
}

// stop ends the suite as Ctrl-C does: a suite that nobody runs must not hold on
// to the cluster.
func stop(err error) {
	fmt.Fprintln(os.Stderr, "kluster-e2e.test:", err)
	_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
}
