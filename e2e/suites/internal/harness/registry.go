package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/docker/go-connections/nat"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
)

// Registry is what "kluster registry list -o json" says of one.
type Registry struct {
	Name, Kind, Address, Upstream, State, Image string
	Clusters                                    []string
}

// Registries lists those of the engine.
func (k *Kluster) Registries(ctx context.Context) []Registry {
	ginkgo.GinkgoHelper()
	var all []Registry
	gomega.Expect(json.Unmarshal([]byte(k.Must(ctx, "registry", "list", "-o", "json").Stdout), &all)).To(gomega.Succeed())
	return all
}

// LocalRegistry sees that there is a local registry, and gives it. One that was not
// there goes when the specs have ended; its machine is the engine's only one.
func (k *Kluster) LocalRegistry(ctx context.Context) Registry {
	ginkgo.GinkgoHelper()
	for range 2 {
		for _, r := range k.Registries(ctx) {
			if r.Kind == "registry" {
				return r
			}
		}
		ginkgo.DeferCleanup(func(ctx ginkgo.SpecContext) { k.Must(ctx, "registry", "delete", "kluster-registry", "--force") })
		k.Must(ctx, "registry", "create")
	}
	ginkgo.Fail("there is no local registry, though one was made")
	return Registry{}
}

// Upstream is a registry that stands for one far away, until it is removed.
type Upstream struct {
	engine *Engine
	id     string
	// URL is where containers reach it, and Address the host ("localhost:40123").
	URL, Address string
}

// registryConfig is of distribution's registry.
const registryConfig = `{"version": "0.1", "storage": {"filesystem": {"rootdirectory": "/srv"}}, "http": {"addr": ":5000"}}`

// StartUpstream starts a registry out of a node image.
func (e *Engine) StartUpstream(ctx context.Context, name, nodeImage string) *Upstream {
	ginkgo.GinkgoHelper()
	made, err := e.API.ContainerCreate(ctx, &container.Config{
		Image: nodeImage, ExposedPorts: nat.PortSet{"5000/tcp": {}}, Env: []string{"OTEL_TRACES_EXPORTER=none", "CONFIG=" + registryConfig},
		Entrypoint: []string{"sh", "-c", `echo "$CONFIG" >/config.yml && exec registry serve /config.yml`},
	}, &container.HostConfig{
		PortBindings: nat.PortMap{"5000/tcp": {{HostIP: "127.0.0.1"}}}, // at a free port
	}, nil, nil, name)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	u := &Upstream{engine: e, id: made.ID}
	ginkgo.DeferCleanup(u.Remove)
	gomega.Expect(e.API.ContainerStart(ctx, made.ID, container.StartOptions{})).To(gomega.Succeed())
	c, err := e.API.ContainerInspect(ctx, made.ID)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	u.Address = "localhost:" + c.NetworkSettings.Ports["5000/tcp"][0].HostPort
	u.URL = fmt.Sprintf("http://%s:5000", c.NetworkSettings.Networks["bridge"].IPAddress)
	gomega.Eventually(ctx, func(ctx context.Context) error { _, err := Get(ctx, "http://"+u.Address+"/v2/"); return err }).
		WithTimeout(20 * time.Second).Should(gomega.Succeed())
	return u
}

// Remove takes it away, whether it is there or not.
func (u *Upstream) Remove(ctx context.Context) error {
	err := u.engine.API.ContainerRemove(ctx, u.id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && strings.Contains(err.Error(), "No such container") {
		return nil
	}
	return err
}

// PushProgram makes an image of a program that prints text, and has the engine push it
// to a registry on the host, as "docker push" does.
func (e *Engine) PushProgram(ctx context.Context, ref, text string) {
	ginkgo.GinkgoHelper()
	archive, err := ProgramImage(ctx, ginkgo.GinkgoT().TempDir(), ref, fmt.Sprintf("package main\n\nfunc main() { print(%q) }\n", text))
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	f, err := os.Open(archive)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer f.Close()
	loaded, err := e.API.ImageLoad(ctx, f)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(jsonmessage.DisplayJSONMessagesStream(loaded.Body, io.Discard, 0, false, nil)).To(gomega.Succeed())
	loaded.Body.Close()
	ginkgo.DeferCleanup(func(ctx ginkgo.SpecContext) {
		_, err := e.API.ImageRemove(ctx, ref, image.RemoveOptions{})
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
	})
	pushed, err := e.API.ImagePush(ctx, ref, image.PushOptions{RegistryAuth: "e30="}) // {}, for nobody
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer pushed.Close()
	gomega.Expect(jsonmessage.DisplayJSONMessagesStream(pushed, io.Discard, 0, false, nil)).To(gomega.Succeed())
}

// MustImage is the node image of the cluster's first node.
func (c *Cluster) MustImage(ctx context.Context) string {
	ginkgo.GinkgoHelper()
	var nodes []struct{ Image string }
	gomega.Expect(json.Unmarshal([]byte(c.Must(ctx, "get", "nodes", "--cluster", c.Name, "-o", "json").Stdout), &nodes)).To(gomega.Succeed())
	return nodes[0].Image
}

// Pulled is Command with an image that the node pulls, whether it has it or not.
func Pulled(ref string) corev1.Container {
	c := Command(ref)
	c.ImagePullPolicy = corev1.PullAlways
	return c
}
