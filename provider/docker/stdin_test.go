package docker

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest/program"
)

// TestExecBulk sends much to commands that read all of it, nothing of it, or do not
// end by themselves.
func TestExecBulk(t *testing.T) {
	p, node := startedNode(t, "bulk")
	sent := make([]byte, 5<<20+7)
	_, _ = rand.Read(sent)
	var got bytes.Buffer
	cmd := provider.Command{Args: []string{program.Path, "cat"}, Stdin: bytes.NewReader(sent), Stdout: &got, Bulk: true}
	if err := p.Exec(t.Context(), node.ID, cmd); err != nil || !bytes.Equal(got.Bytes(), sent) {
		t.Errorf("cat gave %d of %d bytes back, error %v", got.Len(), len(sent), err)
	}
	cmd = provider.Command{Args: []string{program.Path, "echo", "done"}, Stdin: endless{}, Stdout: io.Discard, Bulk: true}
	if err := p.Exec(t.Context(), node.ID, cmd); err != nil {
		t.Errorf("a command that reads nothing: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	cmd.Args = []string{program.Path, "hold", "bulk"}
	if err := p.Exec(ctx, node.ID, cmd); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that does not end: %v", err)
	}
}

// TestPipeOf writes into a command's standard input past the engine.
func TestPipeOf(t *testing.T) {
	p, node := startedNode(t, "pipe")
	if !p.endpoint.isSocket() || os.Geteuid() != 0 {
		t.Skip("the engine's processes are not root's here, or not behind a socket")
	}
	made, err := p.api.ContainerExecCreate(t.Context(), node.ID, container.ExecOptions{
		Cmd: []string{program.Path, "cat"}, AttachStdin: true, AttachStdout: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := p.api.ContainerExecAttach(t.Context(), made.ID, container.ExecAttachOptions{Tty: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if pipe := p.pipeOf(t.Context(), made.ID, provider.Command{}); pipe != nil {
		t.Error("a pipe for little")
	}
	pipe := p.pipeOf(t.Context(), made.ID, provider.Command{Bulk: true})
	if pipe == nil {
		t.Fatal("no pipe")
	}
	if _, err := pipe.WriteString("past the engine"); err != nil {
		t.Error(err)
	}
	pipe.Close()
	if err := conn.CloseWrite(); err != nil {
		t.Error(err)
	}
	if said, err := io.ReadAll(conn.Reader); err != nil || !bytes.Contains(said, []byte("past the engine")) {
		t.Errorf("got %q, %v", said, err)
	}
}

func TestOpenPipeTakesNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if pipe, err := openPipe(path); err == nil {
		pipe.Close()
		t.Error("a file was taken for a pipe")
	}
}

// endless is input without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
