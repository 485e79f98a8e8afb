package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kluster-project/kluster/internal/failure"
)

// guardScript is a guard that tells of itself, and of its end, in files beside it.
const guardScript = `#!/bin/sh
cd "$(dirname "$0")"
cat > order
echo "$@" > args
cut -d' ' -f6 /proc/$$/stat > session
echo $$ > pid
readlink /proc/$$/fd/1 /proc/$$/fd/2 | cat > streams
trap 'echo gone > end; exit 0' TERM
echo '{"state":"armed"}' >&3
ANSWER
exec 3>&-
for i in $(seq 1000); do sleep 0.01; done
`

const theOrder = `{"cluster":"c"}`

// guardIn starts the script as a guard in a folder, which is given.
func guardIn(t *testing.T, answer string) (string, guardProcess, error) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "kluster")
	if err := os.WriteFile(program, []byte(strings.ReplaceAll(guardScript, "ANSWER", answer)), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	m := New(nil, Options{Program: program})
	guard, err := m.startGuard([]byte(theOrder))
	return dir, guard, err
}

func TestGuardProcess(t *testing.T) {
	dir, guard, err := guardIn(t, `echo '{"state":"holds"}' >&3`)
	if err != nil {
		t.Fatal(err)
	}
	if err := hear(guard.answers); err != nil {
		t.Error(err)
	}
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return strings.TrimSpace(string(text))
	}
	if read("session") != read("pid") {
		t.Errorf("session %s of process %s: a hang-up of this terminal would reach it", read("session"), read("pid"))
	}
	for name, want := range map[string]string{"order": theOrder, "args": "fault guard c", "streams": "/dev/null\n/dev/null"} {
		if got := read(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	guard.dismiss()
	for last := time.Now().Add(10 * time.Second); read("end") == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(last) {
			t.Fatal("it does not end")
		}
	}
}

func TestGuardThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		answer, says string
		code         int
	}{
		"says why":  {`echo '{"error":"no freezer","code":4}' >&3; exit 1`, "no freezer", failure.CodeHost},
		"just ends": {`exit 1`, "the guard of the fault ended before it held (armed: true)", failure.CodeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			_, guard, err := guardIn(t, test.answer)
			if err == nil {
				err = hear(guard.answers)
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || failure.Code(err) != test.code {
				t.Errorf("code %d: %v", failure.Code(err), err)
			}
		})
	}
	if _, err := New(nil, Options{}).startGuard(nil); failure.Code(err) != failure.CodeHost {
		t.Errorf("without a program: %v", err)
	}
}
