package kubeadm

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// EncryptionKeySize is how many random bytes a key is that Secrets are encrypted with.
const EncryptionKeySize = 32

// What kube-apiserver is told by files in a hardened cluster.
const (
	// EncryptionFile holds the key that Secrets are encrypted with: it lies in
	// control planes alone, and without it none of them can read its Secrets.
	EncryptionFile     = PolicyDir + "/encryption.yaml"
	admissionFile      = PolicyDir + "/admission.yaml"
	authenticationFile = PolicyDir + "/authentication.yaml"
)

// strongCiphers are those of TLS 1.2 that CIS takes for strong; TLS 1.3 has no others.
var strongCiphers = []string{
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}

// hardenedArgs are what a hardened cluster's components get beside defaultArgs.
var hardenedArgs = map[string][]arg{
	"apiServer": {
		{"admission-control-config-file", admissionFile},
		// kubeadm's own plugin, and one that keeps Services from taking other's addresses.
		{"enable-admission-plugins", "NodeRestriction,DenyServiceExternalIPs"},
		{"authentication-config", authenticationFile},
		{"encryption-provider-config", EncryptionFile},
		// Kubelets serve with certificates of the cluster's authority; see package pki.
		{"kubelet-certificate-authority", "/etc/kubernetes/pki/ca.crt"},
		// Tokens of pods end when they say so, and not a year later.
		{"service-account-extend-token-expiration", "false"},
		{"tls-cipher-suites", strings.Join(strongCiphers, ",")},
		// The figures of CIS.
		{"audit-log-maxsize", "100"},
		{"audit-log-maxbackup", "10"},
	},
}

// hardenedKubelet is what a hardened cluster's kubelets get. Not protectKernelDefaults:
// it makes a kubelet refuse to start on a machine whose kernel has other settings than
// it likes, and they are the host's.
var hardenedKubelet = object{
	// Pods that ask for nothing else get the runtime's list of system calls.
	"seccompDefault":  true,
	"tlsCipherSuites": anyList(strongCiphers),
	"tlsMinVersion":   "VersionTLS12",
}

// exempt are the namespaces whose pods may have what the host has: Kubernetes' own and
// kluster's.
var exempt = []string{"kube-system", "local-path-storage", "metallb-system"}

// admission refuses pods beyond Pod Security's "baseline" in namespaces whose labels
// say nothing else, and notes in the audit log what "restricted" would refuse.
var admission = object{
	"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
	"plugins": []any{object{
		"name": "PodSecurity",
		"configuration": object{
			"apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration",
			"defaults": object{
				"enforce": "baseline", "enforce-version": "latest",
				"warn": "baseline", "warn-version": "latest",
				"audit": "restricted", "audit-version": "latest",
			},
			"exemptions": object{"namespaces": anyList(exempt)},
		},
	}},
}

// healthPaths are what anybody may ask: load balancers do, and have no certificate.
var healthPaths = []string{"/healthz", "/livez", "/readyz"}

func (r *renderer) authentication() object {
	var conditions []any
	for _, path := range healthPaths {
		conditions = append(conditions, object{"path": path})
	}
	return object{
		"apiVersion": "apiserver.config.k8s.io/" + r.release.authentication, "kind": "AuthenticationConfiguration",
		"anonymous": object{"enabled": true, "conditions": conditions},
	}
}

// encryption encrypts Secrets before they go to etcd. What was written without a key
// can be read all the same.
func encryption(key []byte) object {
	return object{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
		"resources": []any{object{
			"resources": []any{"secrets"},
			"providers": []any{
				object{"secretbox": object{"keys": []any{object{"name": "kluster-1", "secret": base64.StdEncoding.EncodeToString(key)}}}},
				object{"identity": object{}},
			},
		}},
	}
}

// hardenedPolicies adds a hardened cluster's to docs.
func (r *renderer) hardenedPolicies(docs map[string]object) (map[string]object, error) {
	if n := len(r.in.EncryptionKey); n != EncryptionKeySize {
		return nil, fmt.Errorf("a key of %d bytes for Secrets: it must have %d", n, EncryptionKeySize)
	}
	docs = maps.Clone(docs)
	docs[admissionFile] = admission
	docs[authenticationFile] = r.authentication()
	docs[EncryptionFile] = encryption(r.in.EncryptionKey)
	return docs, nil
}

// dropAuthentication takes our file of authentication away where the user has flags that
// kube-apiserver refuses beside one.
func dropAuthentication(api object) {
	args, ok := argsOf(api["extraArgs"])
	rival := func(a arg) bool { return a.name == "anonymous-auth" || strings.HasPrefix(a.name, "oidc-") }
	if file, _ := valueOf(args, "authentication-config"); !ok || file != authenticationFile || !slices.ContainsFunc(args, rival) {
		return
	}
	api["extraArgs"] = argList(without(args, map[string]bool{"authentication-config": true}))
}

func anyList(words []string) []any {
	var list []any
	for _, w := range words {
		list = append(list, w)
	}
	return list
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
