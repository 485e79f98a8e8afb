// Package pki makes, in memory, the keys and certificates that a cluster's nodes
// need before their first start: the certificate authorities and the service
// account key, a client certificate for every kubelet, and one for the
// administrator. Subjects, usages and validity are kubeadm's own, so that kubeadm
// takes the authorities for its own, signs the rest with them in the node, and
// can check and renew all of it later.
//
// All keys are ECDSA P-256: made in microseconds, and what kubeadm's
// encryptionAlgorithm ECDSA-P256 renews them with.
package pki

import (
	"crypto/ecdsa"
	"fmt"
	"time"

	"github.com/kluster-project/kluster/internal/nodespec"
)

const (
	// backdate allows for nodes and clients whose clock is behind the host's.
	backdate = time.Hour
	// caValidity and leafValidity are kubeadm's.
	caValidity   = 10 * 365 * 24 * time.Hour
	leafValidity = 365 * 24 * time.Hour
)

// Dir is kubeadm's folder of certificates in a node.
const Dir = "/etc/kubernetes/pki"

// Authority signs what belongs to one cluster. It lives in memory alone: the
// keys' only other home is the file systems of the control planes.
type Authority struct {
	cluster, etcd, frontProxy *authority
	serviceAccount            *ecdsa.PrivateKey
	now                       time.Time
}

// New makes the authorities and the service account key of a new cluster, valid
// from an hour before now for ten years.
func New(now time.Time) (*Authority, error) {
	a := &Authority{now: now.UTC().Truncate(time.Second)}
	for _, ca := range []struct {
		name string
		to   **authority
	}{
		{"kubernetes", &a.cluster},
		{"etcd-ca", &a.etcd},
		{"front-proxy-ca", &a.frontProxy},
	} {
		var err error
		if *ca.to, err = newAuthority(ca.name, a.now); err != nil {
			return nil, fmt.Errorf("making the certificate authority %s: %w", ca.name, err)
		}
	}
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("making the service account key: %w", err)
	}
	a.serviceAccount = key
	return a, nil
}

// CACertificate is the cluster's authority as PEM, without its key.
func (a *Authority) CACertificate() []byte { return certPEM(a.cluster.cert) }

// ControlPlaneFiles are the authorities with their keys and the service account
// key pair, which every control plane holds: kubeadm signs its own certificates
// with them, and certs renew, upgrade and a later join need them too.
func (a *Authority) ControlPlaneFiles() ([]nodespec.File, error) {
	var files []nodespec.File
	for _, f := range []struct {
		name string
		ca   *authority
	}{{"ca", a.cluster}, {"etcd/ca", a.etcd}, {"front-proxy-ca", a.frontProxy}} {
		key, err := keyPEM(f.ca.key)
		if err != nil {
			return nil, fmt.Errorf("encoding the key of %s: %w", f.name, err)
		}
		files = append(files, cert(f.name+".crt", certPEM(f.ca.cert)), secret(f.name+".key", key))
	}
	key, err := keyPEM(a.serviceAccount)
	if err != nil {
		return nil, fmt.Errorf("encoding the service account key: %w", err)
	}
	pub, err := publicPEM(&a.serviceAccount.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encoding the public service account key: %w", err)
	}
	return append(files, secret("sa.key", key), secret("sa.pub", pub)), nil
}

// WorkerFiles are what a worker knows of the authorities: the cluster's
// certificate.
func (a *Authority) WorkerFiles() []nodespec.File {
	return []nodespec.File{cert("ca.crt", a.CACertificate())}
}

func cert(name string, pem []byte) nodespec.File {
	return nodespec.File{Path: Dir + "/" + name, Mode: 0o644, Data: pem}
}

func secret(name string, pem []byte) nodespec.File {
	return nodespec.File{Path: Dir + "/" + name, Mode: 0o600, Data: pem}
}
