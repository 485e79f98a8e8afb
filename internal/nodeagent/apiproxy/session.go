package apiproxy

import (
	"io"
	"net"
	"sync"
)

// session is a client's connection to a server.
type session struct{ client, server net.Conn }

func newSession(client, server net.Conn) *session { return &session{client, server} }

// run copies both ways until both sides have finished, or one breaks. A side
// that only stops sending is told to the other, and may go on receiving.
func (s *session) run() {
	defer s.close()
	var wg sync.WaitGroup
	wg.Go(func() { s.copy(s.server, s.client) })
	wg.Go(func() { s.copy(s.client, s.server) })
	wg.Wait()
}

func (s *session) copy(dst, src net.Conn) {
	if _, err := io.Copy(dst, src); err != nil {
		s.close()
		return
	}
	if half, ok := dst.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		s.close()
	}
}

// close ends the session now; it may be called more than once.
func (s *session) close() {
	s.client.Close()
	s.server.Close()
}
