// Command registry is distribution's registry, with its storage in a folder: without
// the clients of cloud storage that upstream's own command also links, which are more
// than half of that one.
package main

import (
	"net"
	"net/http"
	"os"
	"time"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

// How long a cache waits for its upstream before it gives what it has. Those who pull
// give up after 30 seconds (containerd), which is also how long Go tries to connect; for an
// answer it would wait as long as the connection seems to be there.
const (
	connectTime = 3 * time.Second
	answerTime  = 10 * time.Second
)

func main() {
	// The one that distribution asks upstreams by.
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t.DialContext = (&net.Dialer{Timeout: connectTime}).DialContext
		t.ResponseHeaderTimeout = answerTime
	}
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
