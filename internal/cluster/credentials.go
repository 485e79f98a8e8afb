package cluster

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/redact"
	"github.com/kluster-project/kluster/provider"
)

// pullSecrets is where a kubelet looks for credentials of registries, in the form of the
// docker command's configuration. It gives them to whatever runtime pulls, and reads
// them again every five minutes. The folder is a volume: no image of a node holds it.
const pullSecrets = "/var/lib/kubelet/config.json"

// mostOfSecrets is far above any such file.
const mostOfSecrets = 1 << 20

// dockerHub is what kubelets call hubName in it.
const (
	dockerHub = "https://index.docker.io/v1/"
	hubName   = "docker.io"
)

// dockerConfig is its form, as far as kluster writes it.
type dockerConfig struct {
	Auths map[string]dockerAuth `json:"auths"`
}

// dockerAuth is "USER:PASSWORD" in base64. The rest are other forms that a user's own
// file may have.
type dockerAuth struct {
	Auth          string `json:"auth,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
}

// readCredentials takes the credentials that nodes may use from this machine's user.
func (c *creation) readCredentials(ctx context.Context) error {
	if len(c.cfg.Registries.Credentials) == 0 {
		return nil
	}
	auths, err := c.m.usersAuths(ctx, c.cfg.Registries.Credentials)
	if err != nil {
		return err
	}
	c.secrets, err = secretFiles(auths)
	return err
}

// usersAuths are the credentials that this machine's user has for registries, by what
// kubelets call these. From now on they are in no bundle of logs.
func (m *Manager) usersAuths(ctx context.Context, registries []string) (map[string]dockerAuth, error) {
	auths := map[string]dockerAuth{}
	for _, registry := range registries {
		found, err := m.provider.Credentials(ctx, registry)
		if err != nil {
			return nil, &inputError{failure.With(err, failure.Hint("log in to %s, or do without its credentials", registry))}
		}
		if why := unfit(found); why != "" {
			return nil, &inputError{failure.New(fmt.Sprintf("credentials of %s: %s", registry, why),
				failure.Hint("log in to %s with a name and a password, or do without its credentials", registry))}
		}
		key := registry
		if registry == hubName {
			key = dockerHub
		}
		auth := dockerAuth{Auth: base64.StdEncoding.EncodeToString([]byte(found.Username + ":" + found.Password))}
		redact.Hide(found.Password, auth.Auth)
		auths[key] = auth
	}
	return auths, nil
}

// secretFiles are the files that tell a kubelet of credentials.
func secretFiles(auths map[string]dockerAuth) ([]nodespec.File, error) {
	text, err := json.Marshal(dockerConfig{auths})
	if err != nil {
		return nil, fmt.Errorf("encoding the credentials of registries: %w", err)
	}
	return []nodespec.File{{Path: pullSecrets, Mode: 0o600, Data: text}}, nil
}

// GiveCredentials lets all nodes of a cluster that there is pull with the credentials
// that this machine's user has now for registries; without any, for those that the
// nodes have some of. It gives the registries. Kubelets know them within five minutes.
func (m *Manager) GiveCredentials(ctx context.Context, cluster string, registries []string) ([]string, error) {
	nodes, err := m.existing(ctx, cluster)
	if err != nil {
		return nil, err
	}
	nodes = slices.DeleteFunc(nodes, func(n provider.Node) bool { return isLoadBalancer(n) || isRegistry(n) })
	had, err := m.nodeSecrets(ctx, nodes)
	if err != nil {
		return nil, err
	}
	auths := map[string]json.RawMessage{}
	for _, h := range had {
		maps.Copy(auths, h.auths)
	}
	if registries = slices.Clone(registries); len(registries) == 0 {
		for key := range auths {
			registries = append(registries, strings.Replace(key, dockerHub, hubName, 1))
		}
	}
	if len(registries) == 0 {
		return nil, &inputError{failure.New(fmt.Sprintf("the nodes of cluster %q have no credentials of registries", cluster),
			failure.Hint("name the registries whose credentials they may use"))}
	}
	slices.Sort(registries)
	given, err := m.usersAuths(ctx, registries)
	if err != nil {
		return nil, err
	}
	for key, auth := range given {
		if auths[key], err = json.Marshal(auth); err != nil {
			return nil, fmt.Errorf("encoding the credentials of %s: %w", key, err)
		}
	}
	return registries, m.writeSecrets(ctx, nodes, had, auths)
}

// ownSecrets is a node's file, of which a user may have written more than kluster does.
type ownSecrets struct {
	fields, auths map[string]json.RawMessage
}

// nodeSecrets are the files that nodes have, by the nodes' names.
func (m *Manager) nodeSecrets(ctx context.Context, nodes []provider.Node) (map[string]ownSecrets, error) {
	all := map[string]ownSecrets{}
	for _, n := range nodes {
		stream, err := m.provider.CopyFrom(ctx, n.ID, pullSecrets)
		if errors.Is(err, provider.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[n.Name], err = ownOf(readSecrets(stream))
		if err := errors.Join(err, stream.Close()); err != nil {
			return nil, failure.With(fmt.Errorf("reading the credentials of %s: %w", n.Name, err),
				failure.Hint("mend or remove %s there", pullSecrets), failure.Exit(failure.CodeHost))
		}
	}
	return all, nil
}

func ownOf(text []byte) (s ownSecrets, err error) {
	if err = json.Unmarshal(text, &s.fields); err == nil && s.fields["auths"] != nil {
		err = json.Unmarshal(s.fields["auths"], &s.auths)
	}
	return s, err
}

// with is the file with these credentials, and all else as it is.
func (s ownSecrets) with(auths map[string]json.RawMessage) (nodespec.File, error) {
	fields := maps.Clone(s.fields)
	if fields == nil {
		fields = map[string]json.RawMessage{}
	}
	var err error
	if fields["auths"], err = json.Marshal(auths); err != nil {
		return nodespec.File{}, err
	}
	text, err := json.Marshal(fields)
	return nodespec.File{Path: pullSecrets, Mode: 0o600, Data: text}, err
}

func (m *Manager) writeSecrets(ctx context.Context, nodes []provider.Node, had map[string]ownSecrets, auths map[string]json.RawMessage) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		group.Go(func() error {
			file, err := had[n.Name].with(auths)
			if err != nil {
				return fmt.Errorf("encoding the credentials for %s: %w", n.Name, err)
			}
			archive, err := tarOf([]nodespec.File{file}, time.Now())
			if err != nil {
				return fmt.Errorf("packing the credentials for %s: %w", n.Name, err)
			}
			return m.provider.CopyTo(ctx, n.ID, "/", archive)
		})
	}
	return group.Wait()
}

// unfit says why a kubelet cannot use credentials; "" if it can.
func unfit(c provider.Credentials) string {
	switch {
	case c.IdentityToken != "":
		return "they are an identity token, which kubelets cannot use"
	case c.Username == "" || c.Password == "":
		return "this machine's user has none"
	}
	return ""
}

// hideSecrets makes sure that the credentials that nodes have appear in nothing that is
// taken out of them. A node that does not answer cannot give them away either.
func (m *Manager) hideSecrets(ctx context.Context, nodes []provider.Node) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var looks sync.WaitGroup
	for _, n := range nodes {
		if isLoadBalancer(n) || isRegistry(n) {
			continue
		}
		looks.Go(func() {
			stream, err := m.provider.CopyFrom(ctx, n.ID, pullSecrets)
			if err != nil {
				return
			}
			defer stream.Close()
			var found dockerConfig
			if json.Unmarshal(readSecrets(stream), &found) != nil {
				return // it may be a user's own, and of any form
			}
			for _, a := range found.Auths {
				redact.Hide(a.Auth, a.password(), a.Password, a.IdentityToken, a.RegistryToken)
			}
		})
	}
	looks.Wait()
}

// readSecrets gives the file in a tar of pullSecrets, nil if it is none.
func readSecrets(stream io.Reader) []byte {
	r := tar.NewReader(stream)
	if h, err := r.Next(); err != nil || h.Typeflag != tar.TypeReg {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(r, mostOfSecrets))
	if err != nil {
		return nil
	}
	return text
}

func (a dockerAuth) password() string {
	text, err := base64.StdEncoding.DecodeString(a.Auth)
	if err != nil {
		return ""
	}
	at := slices.Index(text, ':')
	return string(text[at+1:])
}
