// Command testnode is the only program in the image of the provider contract.
// Called as sh it knows one script, "kill -s KILL -- -PID ...".
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/kluster-project/kluster/provider/providertest/program"
)

func main() { os.Exit(run()) }

func run() int {
	switch {
	case filepath.Base(os.Args[0]) == "sh":
		return killGroup(os.Args[len(os.Args)-1])
	case len(os.Args) > 1 && os.Args[1] == "init":
		return initNode()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	dir, _ := os.Getwd()
	return program.Run(ctx, program.Call{
		Args: os.Args[1:], Env: os.Environ(), Dir: dir,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
}

// initNode is the node's first process: it lasts until it is told to stop.
func initNode() int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println(program.Greeting)
	<-stop
	return 0
}

func killGroup(script string) int {
	_, rest, _ := strings.Cut(script, "-- -")
	text, _, _ := strings.Cut(rest, " ")
	pid, err := strconv.Atoi(text)
	if err != nil || syscall.Kill(-pid, syscall.SIGKILL) != nil {
		return 1
	}
	return 0
}
