package runner

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// guardScript waits until its standard input ends, which it does when the runner
// is gone, however it went. Then it interrupts the program that it guards, so that
// specs clean up, and ends whatever is left after so many seconds ($1). A program
// that watches the runner itself has been interrupted already: once more would keep
// its specs from cleaning up.
const guardScript = `
trap '' INT TERM HUP
watches= pid=
echo ready
while read -r line; do
	case $line in
	watches) watches=yes ;;
	*) pid=$line ;;
	esac
done
[ "$watches" ] || kill -INT 0
left=$1
while [ "$pid" ] && kill -0 "$pid" 2>/dev/null && [ "$left" -gt 0 ]; do
	sleep 1
	left=$((left - 1))
done
kill -KILL 0
`

// guard is a shell that leads the process group of a suite's program, which ends
// with the runner also when that is killed and can do nothing more.
type guard struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// newGuard starts a guard that is on its guard. grace is how long the program may
// clean up, lock a file that the guard keeps open, or nil.
func newGuard(grace time.Duration, lock *os.File) (*guard, error) {
	seconds := int(grace.Round(time.Second) / time.Second)
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guard", strconv.Itoa(seconds)) //nolint:noctx // it is ended with its group
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Setpgid: true}
	if lock != nil {
		cmd.ExtraFiles = []*os.File{lock}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the suite's guard: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the suite's guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the suite's guard: %w", err)
	}
	g := &guard{cmd, in}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		g.end()
		return nil, fmt.Errorf("starting the suite's guard: %w", err)
	}
	return g, nil
}

// start starts a program in the guard's group.
func (g *guard) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: g.cmd.Process.Pid}
	if err := cmd.Start(); err != nil {
		return err
	}
	g.tell(strconv.Itoa(cmd.Process.Pid))
	return nil
}

// watches says that the program notices the runner's end by itself.
func (g *guard) watches() { g.tell("watches") }

// tell says a word to the guard. One that is gone guards nothing, and the runner
// ends its program itself.
func (g *guard) tell(word string) { _, _ = io.WriteString(g.in, word+"\n") }

// signal signals the whole group.
func (g *guard) signal(s syscall.Signal) { _ = syscall.Kill(-g.cmd.Process.Pid, s) }

// end ends what is left of the group.
func (g *guard) end() {
	g.signal(syscall.SIGKILL)
	_ = g.cmd.Wait() // killed
}
