package loadbalancer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// apiBackend is the section of the kube-apiservers.
const apiBackend = "apiservers"

// Backends are the kube-apiservers of a configuration that Render made.
func Backends(config []byte) ([]Backend, error) {
	from, to, err := section(lines(config))
	if err != nil {
		return nil, err
	}
	var found []Backend
	for _, line := range lines(config)[from:to] {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "server" {
			continue
		}
		if len(words) != 3 {
			return nil, fmt.Errorf("load balancer: a line of another kind: %q", line)
		}
		addr, err := netip.ParseAddrPort(words[2])
		if err != nil {
			return nil, fmt.Errorf("load balancer: backend %s: %w", words[1], err)
		}
		found = append(found, Backend{Name: words[1], Addr: addr})
	}
	return found, nil
}

// SetBackends is a configuration that Render made with other kube-apiservers. All else
// stays as it is.
func SetBackends(config []byte, backends []Backend) ([]byte, error) {
	if err := checkBackends(backends); err != nil {
		return nil, err
	}
	all := lines(config)
	from, to, err := section(all)
	if err != nil {
		return nil, err
	}
	isServer := func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "server ") }
	at := from + slices.IndexFunc(all[from:to], isServer)
	if at < from {
		at = to
	}
	kept := slices.DeleteFunc(slices.Clone(all[from:to]), isServer)
	var servers []string
	for _, b := range backends {
		servers = append(servers, "  server "+b.Name+" "+b.Addr.String())
	}
	made := slices.Concat(all[:from], slices.Insert(kept, min(at-from, len(kept)), servers...), all[to:])
	return []byte(strings.Join(made, "\n")), nil
}

// serverOptions are the words that each server of the section has, which haproxy does
// not give to those that are added while it runs.
func serverOptions(config []byte) (string, error) {
	all := lines(config)
	from, to, err := section(all)
	if err != nil {
		return "", err
	}
	for _, line := range all[from:to] {
		if options, ok := strings.CutPrefix(strings.TrimSpace(line), "default-server "); ok {
			return options, nil
		}
	}
	return "", errors.New("load balancer: its configuration says nothing of checks")
}

func lines(config []byte) []string { return strings.Split(string(config), "\n") }

// section is where the lines of the kube-apiservers begin and end.
func section(all []string) (from, to int, err error) {
	from = slices.Index(all, "backend "+apiBackend) + 1
	if from == 0 {
		return 0, 0, fmt.Errorf("load balancer: its configuration has no backend %s", apiBackend)
	}
	to = from
	for to < len(all) && strings.HasPrefix(all[to], "  ") {
		to++
	}
	return from, to, nil
}

func checkBackends(backends []Backend) error {
	if len(backends) == 0 {
		return errors.New("load balancer: no backends")
	}
	for _, b := range backends {
		if b.Name == "" || !b.Addr.IsValid() {
			return fmt.Errorf("load balancer: backend %q has no valid address", b.Name)
		}
	}
	return nil
}
