// Package program is what the nodes of the provider contract run: a few small
// commands, the same for a fake's nodes and, built as testnode, for real ones.
package program

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Path is where the program lies in a node.
const Path = "/testnode"

// Greeting is what the first process of a node prints.
const Greeting = "the node is up"

// Call is one call of the program.
type Call struct {
	Args           []string // without the program's own name
	Env            []string
	Dir            string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// commands by name. Each gives its exit code.
var commands = map[string]func(ctx context.Context, c Call) int{
	"echo": echo,
	"fail": fail,
	"cat":  cat,
	"env":  env,
	"pwd":  pwd,
	"hold": hold,
	"fill": fill,
	"ps":   ps,
	"file": file,
}

// Run runs a command: echo, cat and pwd as everywhere; "fail CODE TEXT" prints
// TEXT to stderr and ends with CODE; "env NAME" prints a variable; "hold WORD"
// prints WORD and lasts until ctx ends; "fill BYTES" prints that many; "ps WORD"
// counts the other processes with WORD among their arguments; "file PATH" prints
// a file.
func Run(ctx context.Context, c Call) int {
	if len(c.Args) == 0 {
		return 2
	}
	command, ok := commands[c.Args[0]]
	if !ok {
		fmt.Fprintf(c.Stderr, "no command %q\n", c.Args[0])
		return 2
	}
	c.Args = c.Args[1:]
	return command(ctx, c)
}

func (c Call) arg(i int) string {
	if i < len(c.Args) {
		return c.Args[i]
	}
	return ""
}

func echo(_ context.Context, c Call) int {
	fmt.Fprintln(c.Stdout, strings.Join(c.Args, " "))
	return 0
}

func fail(_ context.Context, c Call) int {
	fmt.Fprintln(c.Stderr, c.arg(1))
	code, _ := strconv.Atoi(c.arg(0))
	return code
}

func cat(_ context.Context, c Call) int {
	if _, err := io.Copy(c.Stdout, c.Stdin); err != nil {
		return 1
	}
	return 0
}

func env(_ context.Context, c Call) int {
	for _, pair := range c.Env {
		if name, value, _ := strings.Cut(pair, "="); name == c.arg(0) {
			fmt.Fprintln(c.Stdout, value)
			return 0
		}
	}
	return 1
}

func pwd(_ context.Context, c Call) int {
	fmt.Fprintln(c.Stdout, c.Dir)
	return 0
}

func hold(ctx context.Context, c Call) int {
	fmt.Fprintln(c.Stdout, c.arg(0))
	<-ctx.Done()
	return 1
}

func fill(_ context.Context, c Call) int {
	size, _ := strconv.Atoi(c.arg(0))
	fmt.Fprint(c.Stdout, strings.Repeat("x", size))
	return 0
}

func ps(_ context.Context, c Call) int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	count := 0
	for _, file := range files {
		if filepath.Base(filepath.Dir(file)) == strconv.Itoa(os.Getpid()) {
			continue
		}
		line, _ := os.ReadFile(file)
		if strings.Contains(string(line), c.arg(0)) {
			count++
		}
	}
	fmt.Fprintln(c.Stdout, count)
	return 0
}

func file(_ context.Context, c Call) int {
	data, err := os.ReadFile(c.arg(0))
	if err != nil {
		fmt.Fprintln(c.Stderr, err)
		return 1
	}
	if _, err := c.Stdout.Write(data); err != nil {
		fmt.Fprintln(c.Stderr, err)
		return 1
	}
	return 0
}
