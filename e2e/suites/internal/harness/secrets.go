package harness

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// Secret is what only those who need it may see. It is seen where a text has one of
// its forms, or what Like matches.
type Secret struct {
	Name  string
	Forms []string
	Like  *regexp.Regexp
}

// Planted are texts of which the search must find each, by the name of its shape.
var Planted = []Place{
	{"a token of a service account", "eyJhbGciOiJSUzI1NiIsImtpZCI6InBsYW50ZWQifQ.eyJpc3MiOiJwbGFudGVkIiwic3ViIjoicGxhbnRlZCJ9.cGxhbnRlZC1wbGFudGVkLXBsYW50ZWQ"},
	{"credentials of a registry", `{"auths":{"planted.example":{"auth":"cGxhbnRlZDpwbGFudGVk"}}}`},
	{"a password in a URL", "http://planted:planted@proxy.example:3128"},
}

// in says whether a text has the secret.
func (s Secret) in(text string) bool {
	return slices.ContainsFunc(s.Forms, func(form string) bool { return strings.Contains(text, form) }) ||
		s.Like != nil && s.Like.MatchString(text)
}

// shapes are secrets that are known by their look alone, since a cluster makes new ones at
// any time, or a user brings them.
var shapes = []Secret{
	// A JSON web token: header, claims and signature, the first two being JSON.
	{Name: "a token of a service account", Like: regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}`)},
	// As docker's configuration has them, also quoted within JSON.
	{Name: "credentials of a registry", Like: regexp.MustCompile(`\\?"(?:auth|identitytoken|registrytoken)\\?":\s*\\?"[A-Za-z0-9+/=_.-]{8,}\\?"`)},
	{Name: "a password in a URL", Like: regexp.MustCompile(`[a-z0-9+]://[^/\s:@"']+:[^/\s@"']+@[A-Za-z0-9\[]`)},
}

// Place is where somebody may look, or what he is given.
type Place struct{ Name, Text string }

// keyFiles prints all files of a node that hold keys, each after a line with its name.
const keyFiles = `find /etc/kubernetes /etc/kluster/apiserver /var/lib/kubelet/pki -type f \
	\( -name '*.key' -o -name '*.conf' -o -name '*.pem' -o -name encryption.yaml \) -printf '\n@@ %p\n' -exec cat {} \; 2>/dev/null; true`

var (
	privateKey = regexp.MustCompile(`-----BEGIN ([A-Z ]*)PRIVATE KEY-----\n([A-Za-z0-9+/=\n]+)-----END [A-Z ]*PRIVATE KEY-----\n?`)
	keyData    = regexp.MustCompile(`client-key-data: ([A-Za-z0-9+/=]+)`)
	sealingKey = regexp.MustCompile(`secret: ([A-Za-z0-9+/=]+)`)
)

// Secrets are the keys and tokens of a cluster as they are now, and the looks of others.
func (c *Cluster) Secrets(ctx context.Context, e *Engine) []Secret {
	var found []Secret
	for _, node := range c.machines(ctx, e) {
		for file := range strings.SplitSeq(c.MustExec(ctx, node, "sh", "-c", keyFiles), "\n@@ ") {
			path, text, _ := strings.Cut(file, "\n")
			for i, forms := range secretsIn(text) {
				found = append(found, Secret{Name: fmt.Sprintf("%s:%s#%d", node, path, i), Forms: forms})
			}
		}
	}
	list, err := c.Client.CoreV1().Secrets("kube-system").List(ctx, metav1.ListOptions{FieldSelector: "type=bootstrap.kubernetes.io/token"})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	for _, s := range list.Items {
		found = append(found, Secret{Name: "token " + s.Name, Forms: []string{string(s.Data["token-secret"])}})
	}
	return append(found, shapes...)
}

// secretsIn gives the forms of each secret in a file.
func secretsIn(text string) [][]string {
	var all [][]string
	for _, m := range keyData.FindAllStringSubmatch(text, -1) {
		if plain, err := base64.StdEncoding.DecodeString(m[1]); err == nil {
			all = append(all, secretsIn(string(plain))...)
		}
	}
	for _, m := range privateKey.FindAllStringSubmatch(text, -1) {
		lines := strings.Fields(m[2])
		line := lines[len(lines)/2]
		if m[1] == "EC " {
			line = lines[0] // what follows is the public key
		}
		// In a kubeconfig it is the base64 of the whole, after what all have in common.
		whole := base64.StdEncoding.EncodeToString([]byte(m[0]))
		all = append(all, []string{line, whole[64:128]})
	}
	for _, m := range sealingKey.FindAllStringSubmatch(text, -1) {
		all = append(all, []string{m[1]})
	}
	return all
}

// machines are the names of the nodes, without the load balancer.
func (c *Cluster) machines(ctx context.Context, e *Engine) []string {
	list, err := e.Containers(ctx, c.Name)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	var names []string
	for _, n := range list {
		if n.Running && (n.Role == nodespec.RoleControlPlane || n.Role == nodespec.RoleWorker) {
			names = append(names, n.Name)
		}
	}
	return names
}

// nodePlaces are commands that print what processes of a node, or whoever has its logs,
// can see.
var nodePlaces = map[string]string{
	"arguments":    `for p in /proc/[0-9]*; do tr '\0' ' ' < $p/cmdline; echo; done 2>/dev/null; true`,
	"environments": `for p in /proc/[0-9]*; do tr '\0' '\n' < $p/environ; done 2>/dev/null; true`,
	"journal":      `journalctl --no-pager --output=cat --all`,
	"told":         `cat /etc/kluster/*.json /etc/kluster/*.yaml 2>/dev/null; true`,
	"audit":        `cat /var/log/kubernetes/* 2>/dev/null; true`,
	// But for those of specs, one of which prints what looks like a secret.
	"pod logs": `for d in /var/log/pods/*; do case $d in */it-*) ;; *) cat $d/*/*.log ;; esac; done 2>/dev/null; true`,
}

// Places are all that others can see of a cluster: what the engine tells of its machines
// and their images, what they print, processes and journals of the nodes, and a bundle
// of logs.
func (c *Cluster) Places(ctx context.Context, e *Engine, bundle string) []Place {
	places := c.enginePlaces(ctx, e)
	for _, node := range c.machines(ctx, e) {
		for _, name := range slices.Sorted(maps.Keys(nodePlaces)) {
			places = append(places, Place{name + " of " + node, c.MustExec(ctx, node, "sh", "-c", nodePlaces[name])})
		}
	}
	c.Must(ctx, "export", "logs", bundle, "--cluster", c.Name)
	err := filepath.WalkDir(bundle, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		places = append(places, Place{"bundle " + strings.TrimPrefix(name, bundle), string(text)})
		return err
	})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return places
}

func (c *Cluster) enginePlaces(ctx context.Context, e *Engine) []Place {
	list, err := e.API.ContainerList(ctx, container.ListOptions{All: true, Filters: ofCluster(c.Name)})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	var places []Place
	images := map[string]bool{}
	for _, found := range list {
		name := strings.TrimPrefix(found.Names[0], "/")
		_, raw, err := e.API.ContainerInspectWithRaw(ctx, found.ID, false)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		places = append(places, Place{"engine on " + name, string(raw)}, Place{"output of " + name, e.Output(ctx, found.ID)})
		images[found.ImageID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(images)) {
		var raw, inspected bytes.Buffer
		history, err := e.API.ImageHistory(ctx, id)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		gomega.Expect(json.NewEncoder(&raw).Encode(history)).To(gomega.Succeed())
		_, err = e.API.ImageInspect(ctx, id, client.ImageInspectWithRawResponse(&inspected))
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		places = append(places, Place{"image " + id, raw.String() + inspected.String()})
	}
	return places
}

// Output is what a container has printed.
func (e *Engine) Output(ctx context.Context, id string) string {
	r, err := e.API.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer r.Close()
	var text bytes.Buffer
	_, err = stdcopy.StdCopy(&text, &text, r)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return text.String()
}

// Seen says which secrets are seen where, "SECRET in PLACE".
func Seen(secrets []Secret, places []Place) []string {
	var seen []string
	for _, p := range places {
		for _, s := range secrets {
			if s.in(p.Text) {
				seen = append(seen, s.Name+" in "+p.Name)
			}
		}
	}
	return seen
}
