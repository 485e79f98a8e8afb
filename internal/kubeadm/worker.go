package kubeadm

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

const (
	kubeletDir = "/var/lib/kubelet/"
	// criSocketAnnotation is where kubeadm looks up a node's runtime if not in
	// its instance-config.yaml.
	criSocketAnnotation = "kubeadm.alpha.kubernetes.io/cri-socket"
	// dnsIndex is which address of the service range cluster DNS has.
	dnsIndex = 10
)

// kubeletFiles renders what kubeadm writes below /var/lib/kubelet, to the byte. A
// control plane's kubelet does not register taints: kubeadm sets them itself.
func (r *renderer) kubeletFiles(reg object, controlPlane bool) ([]nodespec.File, error) {
	node := child(reg, "nodeRegistration")
	conf, err := r.expandedKubelet()
	if err != nil {
		return nil, err
	}
	var files []nodespec.File
	if r.instanceConfig() {
		socket := str(node, "criSocket")
		conf["containerRuntimeEndpoint"] = socket
		files = append(files, kubeletFile("instance-config.yaml", fmt.Appendf(nil, "containerRuntimeEndpoint: %q\n", socket)))
	}
	b, err := encode(headed(kubeletKind, conf))
	if err != nil {
		return nil, fmt.Errorf("encoding the kubelet's configuration: %w", err)
	}
	return append(files, kubeletFile("config.yaml", b), kubeletFile("kubeadm-flags.env", r.flags(node, !controlPlane))), nil
}

func kubeletFile(name string, data []byte) nodespec.File {
	return nodespec.File{Path: kubeletDir + name, Mode: 0o644, Data: data}
}

func (r *renderer) instanceConfig() bool {
	return gate(r.cluster, gateInstanceConfig, r.release.instanceConfig)
}

// flags renders kubeadm-flags.env: kubeadm's own flags, sorted, less those that
// the node's extra ones replace, and then these.
func (r *renderer) flags(node object, taints bool) []byte {
	var base []arg
	if !r.instanceConfig() {
		base = append(base, arg{"container-runtime-endpoint", str(node, "criSocket")})
	}
	if r.release.pause != "" {
		base = append(base, arg{"pod-infra-container-image", r.imageRepository() + "/pause:" + r.release.pause})
	}
	if text := taintFlag(node["taints"]); taints && text != "" {
		base = append(base, arg{"register-with-taints", text})
	}
	extra, _ := argsOf(node["kubeletExtraArgs"])
	var words []string
	for _, a := range override(base, extra) {
		words = append(words, "--"+a.name+"="+a.value)
	}
	return fmt.Appendf(nil, "KUBELET_KUBEADM_ARGS=%q\n", strings.Join(words, " "))
}

func (r *renderer) imageRepository() string {
	if s := str(r.cluster, "imageRepository"); s != "" {
		return s
	}
	return "registry.k8s.io"
}

// taintFlag writes taints as "key=value:effect,...".
func taintFlag(v any) string {
	list, _ := v.([]any)
	var out []string
	for _, t := range list {
		o, _ := t.(object)
		s := str(o, "key")
		if value := str(o, "value"); value != "" {
			s += "=" + value
		}
		out = append(out, s+":"+str(o, "effect"))
	}
	return strings.Join(out, ",")
}

// expandedKubelet is KubeletConfiguration as kubeadm hands it out: with what it
// adds itself, and the fields it writes even when they are not set.
func (r *renderer) expandedKubelet() (object, error) {
	net := child(r.cluster, "networking")
	dns, err := dnsAddress(str(net, "serviceSubnet"))
	if err != nil {
		return nil, err
	}
	pki := str(r.cluster, "certificatesDir")
	if pki == "" {
		pki = "/etc/kubernetes/pki"
	}
	doc := clone(kubeletZero)
	merge(doc, object{
		"authentication": object{
			"anonymous": object{"enabled": false}, "webhook": object{"enabled": true},
			"x509": object{"clientCAFile": pki + "/ca.crt"},
		},
		"authorization": object{"mode": "Webhook"},
		"cgroupDriver":  "systemd", "staticPodPath": "/etc/kubernetes/manifests",
		"clusterDNS": []any{dns.String()}, "clusterDomain": str(net, "dnsDomain"),
		"healthzBindAddress": "127.0.0.1", "healthzPort": 10248,
	})
	merge(doc, clone(r.kubelet))
	doc["rotateCertificates"] = true // kubeadm has it no other way
	return doc, nil
}

// dnsAddress is cluster DNS's in the first of the service subnets.
func dnsAddress(subnets string) (netip.Addr, error) {
	first, _, _ := strings.Cut(subnets, ",")
	p, err := netip.ParsePrefix(first)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("service subnet %q: %w", first, err)
	}
	a := p.Masked().Addr()
	for range dnsIndex {
		a = a.Next()
	}
	if !p.Contains(a) {
		return netip.Addr{}, fmt.Errorf("service subnet %s is too small for cluster DNS", p)
	}
	return a, nil
}
