package providertest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest"
	"github.com/kluster-project/kluster/provider/providertest/program"
)

func TestFakeContract(t *testing.T) {
	img, err := providertest.Image([]byte("program"), map[string]string{"io.kluster.test-image": "yes"})
	if err != nil {
		t.Fatal(err)
	}
	p := providertest.New()
	p.Boot = func(provider.Node) string { return program.Greeting + "\n" }
	p.Handle, p.Local = (&processes{}).run, true
	providertest.Contract(t, p, providertest.Options{Prefix: "t-", Image: img})
}

// processes runs the contract's program in memory, and stands in for ps.
type processes struct {
	mu      sync.Mutex
	running []string
}

func (ps *processes) run(ctx context.Context, _ provider.Node, cmd provider.Command) int {
	if cmd.Args[0] != program.Path {
		return 127
	}
	line := strings.Join(cmd.Args, " ")
	if cmd.Args[1] == "ps" {
		fmt.Fprintln(cmd.Stdout, ps.count(cmd.Args[2]))
		return 0
	}
	ps.change(func() { ps.running = append(ps.running, line) })
	defer ps.change(func() {
		for i, other := range ps.running {
			if other == line {
				ps.running = append(ps.running[:i:i], ps.running[i+1:]...)
				return
			}
		}
	})
	return program.Run(ctx, program.Call{
		Args: cmd.Args[1:], Env: cmd.Env, Dir: cmd.Dir,
		Stdin: cmd.Stdin, Stdout: cmd.Stdout, Stderr: cmd.Stderr,
	})
}

func (ps *processes) change(f func()) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	f()
}

func (ps *processes) count(word string) int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	count := 0
	for _, line := range ps.running {
		if strings.Contains(line, word) {
			count++
		}
	}
	return count
}
