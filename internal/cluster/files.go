package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/kluster-project/kluster/internal/config"
	"github.com/kluster-project/kluster/internal/cri"
	"github.com/kluster-project/kluster/internal/kubeadm"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/internal/pki"
)

// makeCertificates makes the cluster's keys, in memory, and renders all that
// the nodes are told.
func (c *creation) makeCertificates(ctx context.Context) (err error) {
	if c.ca, err = pki.New(time.Now()); err != nil {
		return err
	}
	runtimes, err := c.runtimes()
	if err != nil {
		return err
	}
	var key []byte
	if c.cfg.Hardened {
		key = make([]byte, kubeadm.EncryptionKeySize)
		_, _ = rand.Read(key) // it never fails
	}
	c.kubeadm, err = kubeadm.Render(kubeadm.Input{
		Cluster: c.cfg, Addrs: c.addrs, APIHost: APIHost(c.cfg.Name),
		SANs:     c.apiNames(),
		Runtimes: runtimes, CgroupVersion: c.host.CgroupVersion, Rootless: c.host.Rootless,
		HostCPUs: c.host.CPUs, HostMemory: c.host.Memory,
		CA: c.ca.CACertificate(), EtcdToken: c.cfg.Name + "-" + rand.Text(), EncryptionKey: key,
	})
	c.observe(ctx)
	return err
}

// runtimes are what kubeadm must know of each node's container runtime.
func (c *creation) runtimes() (map[string]kubeadm.Runtime, error) {
	all := map[string]kubeadm.Runtime{}
	for _, n := range c.cfg.Nodes {
		runtime, err := cri.Get(n.Runtime)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", n.Name, err)
		}
		dropIn, err := runtime.KubeletDropIn(c.cfg.KubernetesVersion)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", n.Name, err)
		}
		all[n.Name] = kubeadm.Runtime{Socket: runtime.Socket, DropIn: dropIn}
	}
	return all, nil
}

// apiNames are the further names the API is reached by.
func (c *creation) apiNames() []string {
	names := []string{LoadBalancerName(c.cfg.Name)}
	if a := c.cfg.Networking.APIServerAddress; !a.IsUnspecified() {
		names = append(names, a.String())
	}
	return names
}

// nodeFiles are all files of a node before its first start.
func (c *creation) nodeFiles(n config.Node) ([]nodespec.File, error) {
	spec, err := c.nodeFile(n)
	if err != nil {
		return nil, err
	}
	kubelet, err := c.ca.KubeletFiles(n.Name)
	if err != nil {
		return nil, err
	}
	serving, err := c.ca.KubeletServingFiles(n.Name, c.addrs[n.Name])
	if err != nil {
		return nil, err
	}
	authority := c.ca.WorkerFiles()
	if n.Role == nodespec.RoleControlPlane {
		if authority, err = c.ca.ControlPlaneFiles(); err != nil {
			return nil, fmt.Errorf("packing the authorities of %s: %w", n.Name, err)
		}
	}
	own := []nodespec.File{{Path: nodespec.NodeFile, Mode: 0o644, Data: spec}}
	if commands := c.kubeadm[n.Name].Commands; len(commands) > 0 {
		text, err := json.Marshal(commands)
		if err != nil {
			return nil, fmt.Errorf("encoding the bootstrap of %s: %w", n.Name, err)
		}
		own = append(own, nodespec.File{Path: nodespec.BootstrapFile, Mode: 0o644, Data: text})
	}
	mirrors, err := c.mirrorFiles()
	if err != nil {
		return nil, err
	}
	own = append(own, registryFiles(c.cfg.Registries.Local)...)
	return slices.Concat(own, mirrors, c.secrets, c.authorityFiles(), authority, kubelet, serving, c.kubeadm[n.Name].Files), nil
}

// authorityFiles are the certificate authorities that the user wants nodes to trust.
func (c *creation) authorityFiles() []nodespec.File {
	var files []nodespec.File
	for i, a := range c.cfg.CertificateAuthorities {
		file := path.Join(nodespec.AuthoritiesDir, fmt.Sprintf("kluster-%d.crt", i+1))
		files = append(files, nodespec.File{Path: file, Mode: 0o644, Data: a.PEM})
	}
	return files
}
