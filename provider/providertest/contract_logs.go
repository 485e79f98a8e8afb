package providertest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kluster-project/kluster/provider"
	"github.com/kluster-project/kluster/provider/providertest/program"
)

// TestLogs reads what a node printed: from a time on, and as it comes, until the node
// stops or the reader leaves.
func (s *suite) TestLogs(t *testing.T) {
	id := s.start(t, "a").ID
	s.waitForGreetings(t, id, 1)
	var later bytes.Buffer
	if err := s.p.Logs(t.Context(), id, provider.LogOptions{Since: time.Now().Add(time.Hour)}, &later); err != nil || later.Len() > 0 {
		t.Errorf("since a time to come: %q, %v", later.String(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := s.follow(ctx, t, id)
	cancel()
	wantIs(t, await(t, ended), context.Canceled)

	ended = s.follow(t.Context(), t, id)
	if err := s.p.StopNode(t.Context(), id, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := await(t, ended); err != nil {
		t.Errorf("the node has stopped: %v", err)
	}
}

// follow follows the log of a node, and returns when it has read the greeting.
func (s *suite) follow(ctx context.Context, t *testing.T, id string) <-chan error {
	t.Helper()
	log, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- s.p.Logs(ctx, id, provider.LogOptions{Follow: true}, w) }()
	buf := make([]byte, len(program.Greeting))
	if _, err := io.ReadFull(log, buf); err != nil || !strings.Contains(string(buf), program.Greeting) {
		t.Fatalf("%q, %v", buf, err)
	}
	go func() { _, _ = io.Copy(io.Discard, log) }() // ends with the test's program
	return ended
}

// await is how something ended that must end soon.
func await(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("it did not end")
		return nil
	}
}
