package registries

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
	"golang.org/x/net/publicsuffix"
)

// Paths in the machine of a registry.
const (
	program    = "/usr/local/bin/registry"
	dataFolder = "/var/lib/registry"
	// folder is only root's, as is all that is in it.
	folder     = "/etc/registry"
	configFile = folder + "/config.yml"
	// helperFile is a credential helper of Docker's protocol, which prints
	// credentialsFile whatever it is asked.
	helperFile      = folder + "/credential-helper"
	credentialsFile = folder + "/credentials.json"
)

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

const (
	// startTime bounds the start, and pollTime is how often a registry is asked
	// whether it answers.
	startTime = 30 * time.Second
	pollTime  = 100 * time.Millisecond
	// rollbackTime bounds the removal of what could not be started.
	rollbackTime = time.Minute
	// upstreamTime is how long an upstream may take to answer.
	upstreamTime = 5 * time.Second
)

// start starts a registry that does not run, and brings a cache the credentials of its
// upstream that the user has now.
func (m *Manager) start(ctx context.Context, n provider.Node, s Spec) error {
	files, err := m.files(ctx, s)
	if err != nil {
		return err
	}
	archive, err := pack(files)
	if err != nil {
		return err
	}
	if err := m.provider.CopyTo(ctx, n.ID, "/", archive); err != nil {
		return err
	}
	if n.State != provider.StateRunning {
		if err := m.leaveGone(ctx, n); err != nil {
			return err
		}
		if err := m.provider.StartNode(ctx, n.ID); err != nil {
			return err
		}
	}
	return m.answers(ctx, n)
}

// leaveGone takes a registry off the networks of clusters that were deleted while it
// did not run: it would not start.
func (m *Manager) leaveGone(ctx context.Context, n provider.Node) error {
	if len(n.Networks) == 0 {
		return nil
	}
	networks, err := m.provider.Networks(ctx, nil)
	if err != nil {
		return err
	}
	for _, name := range n.Networks {
		if !slices.ContainsFunc(networks, func(network provider.Network) bool { return isOn(n, network, name) }) {
			if err := m.provider.Disconnect(ctx, n.ID, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// isOn says whether a machine's network of a name is this one, and not one that had the
// name of it.
func isOn(n provider.Node, network provider.Network, name string) bool {
	id := n.NetworkIDs[name]
	return network.Name == name && (id == "" || id == network.ID)
}

// answers waits until a registry does, or its program has ended.
func (m *Manager) answers(ctx context.Context, n provider.Node) error {
	ask := []string{"curl", "--silent", "--show-error", "--fail", "--max-time", "2", "--noproxy", "*", fmt.Sprintf("http://127.0.0.1:%d/v2/", port)}
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollTime, startTime, true, func(ctx context.Context) (bool, error) {
		if last = m.provider.Exec(ctx, n.ID, provider.Command{Args: ask}); errors.Is(last, provider.ErrNotFound) {
			return false, last // it has gone
		}
		return last == nil, nil
	})
	if err == nil || errors.Is(err, provider.ErrNotFound) {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err = fmt.Errorf("it does not answer within %s: %w", startTime, last)
	var said strings.Builder
	if m.provider.Logs(ctx, n.ID, provider.LogOptions{}, &said) == nil && said.Len() > 0 {
		err = failure.With(err, failure.Output(said.String()))
	}
	return err
}

// tellUpstream says when a cache's upstream does not answer now. That is no error: a
// cache gives what it has.
func (m *Manager) tellUpstream(ctx context.Context, n provider.Node, s Spec) {
	if !s.IsCache() {
		return
	}
	ask := []string{"curl", "--silent", "--show-error", "--output", "/dev/null", "--max-time", strconv.Itoa(int(upstreamTime.Seconds())), s.URL + "/v2/"}
	var said bytes.Buffer
	err := m.provider.Exec(ctx, n.ID, provider.Command{Args: ask, Stderr: &said})
	if failed := (*provider.ExecError)(nil); errors.As(err, &failed) {
		m.reporter.Note("%s: %s does not answer now (%s); the cache gives what it has, which is nothing yet", n.Name, s.URL, strings.TrimSpace(said.String()))
	}
}

// size is how many bytes a registry holds on disk, 0 if that cannot be told.
func (m *Manager) size(ctx context.Context, n provider.Node) int64 {
	if n.State != provider.StateRunning {
		return 0
	}
	var out bytes.Buffer
	if m.provider.Exec(ctx, n.ID, provider.Command{Args: []string{"du", "-sk", dataFolder}, Stdout: &out}) != nil {
		return 0
	}
	first, _, _ := strings.Cut(out.String(), "\t")
	kib, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// file is one to lay into a registry's machine.
type file struct {
	path string
	mode int64
	text []byte
}

// files are a registry's configuration and, for a cache, credentials of its upstream.
func (m *Manager) files(ctx context.Context, s Spec) ([]file, error) {
	config, err := configOf(s)
	if err != nil {
		return nil, err
	}
	files := []file{{configFile, 0o600, config}}
	if !s.IsCache() {
		return files, nil
	}
	credentials, err := m.credentials(ctx, s)
	if err != nil {
		return nil, err
	}
	return append(files, file{credentialsFile, 0o600, credentials},
		file{helperFile, 0o700, helperOf(s, credentialsFile)}), nil
}

// helperOf is the credential helper: a script that reads for whom credentials are wanted
// and prints those of the upstream, for its host and others of its domain, as a token
// server is. An upstream may name any server for tokens, and distribution asks there
// with whatever its helper says.
func helperOf(s Spec, credentials string) []byte {
	domain := s.URL
	if u, err := url.Parse(s.URL); err == nil {
		domain = u.Hostname()
	}
	own, err := publicsuffix.EffectiveTLDPlusOne(domain)
	_, notName := netip.ParseAddr(domain)
	pattern := fmt.Sprintf("'%[1]s' | '%[1]s':*", domain)
	if err == nil && notName != nil {
		pattern = fmt.Sprintf("'%[1]s' | '%[1]s':* | *.'%[1]s' | *.'%[1]s':*", own)
	}
	return fmt.Appendf(nil, `#!/bin/sh
read -r host
host=${host#*://}
case ${host%%%%/*} in
%s) exec cat %s ;;
esac
echo '{"ServerURL": "", "Username": "", "Secret": ""}'
`, pattern, credentials)
}

// credentials is what the helper prints: the user's for whom the cache asks, or a name and a
// password that are empty, with which the registry asks as nobody.
func (m *Manager) credentials(ctx context.Context, s Spec) ([]byte, error) {
	registry := s.asks()
	c, err := m.provider.Credentials(ctx, registry)
	if err != nil {
		return nil, err
	}
	if c.IdentityToken != "" {
		m.reporter.Note("%s: the credentials for %s are an identity token, which caches cannot use: it is asked without any", s.Name(), registry)
		c = provider.Credentials{}
	}
	text, err := json.Marshal(map[string]string{"ServerURL": s.URL, "Username": c.Username, "Secret": c.Password})
	if err != nil {
		return nil, fmt.Errorf("encoding the credentials for %s: %w", registry, err)
	}
	return text, nil
}

type tree = map[string]any

// configOf is distribution's configuration. A cache keeps what it has for good, and
// has its credentials from a helper rather than from here: so they are in a file that
// may change, and the registry, which asks the upstream for its token server when they
// are here, starts without it.
func configOf(s Spec) ([]byte, error) {
	config := tree{
		"version": "0.1",
		"log":     tree{"level": "warn", "accesslog": tree{"disabled": true}},
		"storage": tree{"filesystem": tree{"rootdirectory": dataFolder}, "delete": tree{"enabled": true}},
		"http":    tree{"addr": fmt.Sprintf(":%d", port)},
	}
	if s.IsCache() {
		config["proxy"] = tree{
			"remoteurl": s.URL, "ttl": "0s",
			// Asked each time: what it said would be told to whoever wants it next.
			"exec": tree{"command": helperFile, "lifetime": "0s"},
		}
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encoding the registry's configuration: %w", err)
	}
	return text, nil
}

// pack puts files and their folder into an archive.
func pack(files []file) (io.Reader, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	now := time.Now()
	headers := []*tar.Header{{Name: strings.TrimPrefix(folder, "/") + "/", Mode: 0o700, ModTime: now, Typeflag: tar.TypeDir}}
	for _, f := range files {
		headers = append(headers, &tar.Header{Name: strings.TrimPrefix(path.Clean(f.path), "/"), Mode: f.mode, ModTime: now, Typeflag: tar.TypeReg, Size: int64(len(f.text))})
	}
	for i, h := range headers {
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if i == 0 {
			continue
		}
		if _, err := w.Write(files[i-1].text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return &buf, nil
}
