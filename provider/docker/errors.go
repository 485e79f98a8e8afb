package docker

import (
	"context"
	"errors"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/kluster-project/kluster/provider"
)

// engineError is an engine's error in its own words, with the provider's error
// it amounts to (nil if none).
type engineError struct {
	kind  error
	words string
	hint  string // what to do about it; "" if that is not known
	err   error
}

func (e *engineError) Error() string {
	if e.kind == nil {
		return e.words
	}
	return e.kind.Error() + ": " + e.words
}

// Hint says what to do about it.
func (e *engineError) Hint() string { return e.hint }

func (e *engineError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.err}
	}
	return []error{e.kind, e.err}
}

// phrases tell errors apart that engines report with the same status code.
// Case counts: an address taken inside a network is "Address already in use".
var phrases = []struct {
	words []string // all of them
	kind  error
}{
	{[]string{"Pool overlaps with other one"}, provider.ErrSubnetTaken},
	{[]string{"networks have overlapping"}, provider.ErrSubnetTaken},
	{[]string{"is already in use by container"}, provider.ErrNameTaken},
	{[]string{"network with name", "already exists"}, provider.ErrNameTaken},
	{[]string{"port is already allocated"}, provider.ErrPortTaken},
	{[]string{"address already in use"}, provider.ErrPortTaken},
	{[]string{"no space left on device"}, provider.ErrNoSpace},
	{[]string{"disk quota exceeded"}, provider.ErrNoSpace},
}

// explain turns an engine's error into the provider's, keeping its words.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case client.IsErrConnectionFailed(err):
		return unreachable(err)
	}
	words := strings.TrimPrefix(err.Error(), "Error response from daemon: ")
	return &engineError{kind: kindOf(err, words), words: words, err: err}
}

// kindOf finds the provider's error for an engine's, or nil.
func kindOf(err error, words string) error {
	for _, p := range phrases {
		if containsAll(words, p.words) {
			return p.kind
		}
	}
	if errdefs.IsNotFound(err) {
		return provider.ErrNotFound
	}
	return nil
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// Hints for an engine that does not answer.
const (
	hintStart = "install a Docker engine (on Debian: apt-get install docker.io), start it (systemctl start docker), or choose another with DOCKER_HOST"
	hintGroup = "you may not use the engine: add yourself to group docker (sudo usermod -aG docker $USER) and log in again"
)

// unreachable explains why there was no answer.
func unreachable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	hint := hintStart
	if strings.Contains(err.Error(), "permission denied") {
		hint = hintGroup
	}
	return &engineError{kind: provider.ErrUnavailable, words: err.Error(), hint: hint, err: err}
}
