package pki

import (
	"crypto/x509/pkix"
	"fmt"
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
