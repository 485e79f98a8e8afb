package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/netip"
	"slices"

	"github.com/kluster-project/kluster/internal/nodespec"
)

const (
	// kubeletDir is where a kubelet keeps and rotates its certificates.
	kubeletDir = "/var/lib/kubelet/pki"
	// KubeletClientPEM is what a kubelet.conf points at: a link to the newest
	// certificate and key.
	KubeletClientPEM = kubeletDir + "/kubelet-client-current.pem"
)

// KubeletFiles are node's client certificate and key as the kubelet itself
// stores them: a dated file, and KubeletClientPEM as a link to it. A plain file
// there would stop the rotation for good.
func (a *Authority) KubeletFiles(node string) ([]nodespec.File, error) {
	c, err := a.client("system:node:"+node, "system:nodes")
	if err != nil {
		return nil, fmt.Errorf("making the kubelet certificate of %s: %w", node, err)
	}
	dated := kubeletDir + "/kubelet-client-" + a.now.Format("2006-01-02-15-04-05") + ".pem"
	return []nodespec.File{
		{Path: dated, Mode: 0o600, Data: slices.Concat(c.Certificate, c.Key)},
		{Path: KubeletClientPEM, Mode: 0o777, Link: dated},
	}, nil
}

// KubeletServingFiles are the certificate and key that a node's kubelet serves with.
// They lie where a kubelet looks before it makes itself a certificate that nobody can
// check, so that whoever trusts the cluster's authority can ask it for what it knows.
// Names and groups are those of certificates that kubelets ask the cluster for.
func (a *Authority) KubeletServingFiles(node string, addrs []netip.Addr) ([]nodespec.File, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{node},
	}
	for _, addr := range addrs {
		template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
	}
	cert, key, err := a.cluster.leaf(template, a.now)
	if err != nil {
		return nil, fmt.Errorf("making the serving certificate of the kubelet of %s: %w", node, err)
	}
	text, err := keyPEM(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key of the kubelet of %s: %w", node, err)
	}
	return []nodespec.File{
		{Path: kubeletDir + "/kubelet.crt", Mode: 0o644, Data: certPEM(cert)},
		{Path: kubeletDir + "/kubelet.key", Mode: 0o600, Data: text},
	}, nil
}

// Client is a client certificate and its key, as PEM.
type Client struct{ Certificate, Key []byte }

// SuperAdmin makes a certificate that an API server obeys from its first moment,
// before there are roles, as kubeadm's super-admin.conf holds one. It is for the
// create itself and is kept nowhere: nothing could ever take it back.
func (a *Authority) SuperAdmin() (Client, error) {
	c, err := a.client("kubernetes-super-admin", "system:masters")
	if err != nil {
		return Client{}, fmt.Errorf("making the administrator's certificate: %w", err)
	}
	return c, nil
}

func (a *Authority) client(user, group string) (Client, error) {
	cert, key, err := a.cluster.client(pkix.Name{CommonName: user, Organization: []string{group}}, a.now)
	if err != nil {
		return Client{}, err
	}
	k, err := keyPEM(key)
	if err != nil {
		return Client{}, err
	}
	return Client{Certificate: certPEM(cert), Key: k}, nil
}
