package loadbalancer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kluster-project/kluster/internal/wait"
)

// Socket is where a running haproxy takes commands, in the load balancer alone. Its
// folder is one that anybody may write to: haproxy is not root.
const Socket = "/tmp/kluster-haproxy.sock"

const (
	// answerTime bounds a command of haproxy's.
	answerTime = 5 * time.Second
	// retry is how often it is tried to reach haproxy, and to delete a server whose
	// sessions end.
	retry = 50 * time.Millisecond
)

// Live makes a haproxy that runs have the backends of a configuration. A reload would
// leave a process behind that checks nothing and keeps sessions with backends that die
// later; so backends come and go one by one, and other sessions do not notice.
type Live struct {
	// Socket is haproxy's.
	Socket string
}

// Apply adds what is new. What has gone gets no more sessions, and with cut loses those
// that it has.
func (l Live) Apply(ctx context.Context, config []byte, cut bool) error {
	wanted, err := Backends(config)
	if err != nil {
		return err
	}
	options, err := serverOptions(config)
	if err != nil {
		return err
	}
	now, err := l.servers(ctx)
	if err != nil {
		return err
	}
	for _, b := range now {
		switch {
		case slices.Contains(wanted, b):
			err = l.do(ctx, "set server %s state ready", b)
		case cut || named(wanted, b.Name): // a name can be had once
			err = l.remove(ctx, b)
		default:
			err = l.do(ctx, "set server %s state drain", b)
		}
		if err != nil {
			return err
		}
	}
	for _, b := range wanted {
		if slices.Contains(now, b) {
			continue
		}
		if err := l.add(ctx, b, options); err != nil {
			return err
		}
	}
	return nil
}

func named(backends []Backend, name string) bool {
	return slices.ContainsFunc(backends, func(b Backend) bool { return b.Name == name })
}

func (l Live) add(ctx context.Context, b Backend, options string) error {
	said, err := l.ask(ctx, fmt.Sprintf("add server %s/%s %s %s", apiBackend, b.Name, b.Addr, options))
	if err != nil {
		return err
	}
	if !strings.Contains(said, "registered") {
		return fmt.Errorf("load balancer: adding backend %s: %s", b.Name, strings.TrimSpace(said))
	}
	return errors.Join(l.do(ctx, "enable health %s", b), l.do(ctx, "enable server %s", b))
}

// remove cuts a server's sessions and deletes it when they have ended.
func (l Live) remove(ctx context.Context, b Backend) error {
	if err := errors.Join(l.do(ctx, "set server %s state maint", b), l.do(ctx, "shutdown sessions server %s", b)); err != nil {
		return err
	}
	for {
		said, err := l.ask(ctx, "del server "+apiBackend+"/"+b.Name)
		if err != nil {
			return err
		}
		if strings.Contains(said, "deleted") {
			return nil
		}
		if !wait.For(ctx, retry) {
			return fmt.Errorf("load balancer: deleting backend %s: %s", b.Name, strings.TrimSpace(said))
		}
	}
}

// do gives a command about one server; what haproxy says is a complaint.
func (l Live) do(ctx context.Context, command string, b Backend) error {
	command = fmt.Sprintf(command, apiBackend+"/"+b.Name)
	said, err := l.ask(ctx, command)
	if said = strings.TrimSpace(said); err == nil && said != "" {
		err = fmt.Errorf("load balancer: %s: %s", command, said)
	}
	return err
}

// servers are those that the running haproxy has.
func (l Live) servers(ctx context.Context) ([]Backend, error) {
	said, err := l.ask(ctx, "show servers conn "+apiBackend)
	if err != nil {
		return nil, err
	}
	var found []Backend
	for line := range strings.SplitSeq(said, "\n") {
		// "apiservers/NAME 3/1 ADDRESS PORT ..."
		words := strings.Fields(line)
		if len(words) < 4 || !strings.HasPrefix(words[0], apiBackend+"/") {
			continue
		}
		addr, err := netip.ParseAddrPort(net.JoinHostPort(words[2], words[3]))
		if err != nil {
			return nil, fmt.Errorf("load balancer: reading what it serves: %w", err)
		}
		found = append(found, Backend{Name: strings.TrimPrefix(words[0], apiBackend+"/"), Addr: addr})
	}
	return found, nil
}

// ask gives haproxy a command and returns what it says.
func (l Live) ask(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := l.reach(ctx)
	if err != nil {
		return "", fmt.Errorf("load balancer: reaching haproxy: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", fmt.Errorf("load balancer: telling haproxy %q: %w", command, err)
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		return "", fmt.Errorf("load balancer: asking haproxy %q: %w", command, err)
	}
	return string(said), nil
}

// reach connects to haproxy, which may just be starting again.
func (l Live) reach(ctx context.Context) (net.Conn, error) {
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", l.Socket)
		if err == nil || !wait.For(ctx, retry) {
			return conn, err
		}
	}
}
