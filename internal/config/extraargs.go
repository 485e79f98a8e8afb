package config

import (
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// argLists are the fields that were maps of strings up to kubeadm v1beta3 and
// are lists of name and value since v1beta4.
var argLists = map[string]bool{"extraArgs": true, "kubeletExtraArgs": true}

// obsolete are fields of older versions that v1beta4 has no more, by kind. What
// they said does not matter here: kluster waits for readiness by itself.
var obsolete = map[string][]string{
	"ClusterConfiguration": {"apiServer.timeoutForControlPlane", "useHyperKubeImage", "dns.type"},
	"JoinConfiguration":    {"discovery.timeout"},
}

// normalise turns a patch into the newest version's form, in place.
func normalise(doc kubePatch, field string, p *problems) bool {
	known := patchKinds[doc.kind]
	set(doc.node, "apiVersion", text(known.newest()))
	remove(doc.node, "metadata") // older kind matched patches by a name in it
	if known.group != kubeadmKind.group {
		return true
	}
	for _, path := range obsolete[doc.kind] {
		parent, key := doc.node, path
		if head, tail, ok := strings.Cut(path, "."); ok {
			parent, key = get(doc.node, head), tail
		}
		if parent != nil && parent.Kind == yaml.MappingNode {
			remove(parent, key)
		}
	}
	return normaliseArgs(doc.node, field, p)
}

// normaliseArgs turns every argument map below n into a list. A null value
// stays: it asks for the argument's removal.
func normaliseArgs(n *yaml.Node, field string, p *problems) bool {
	ok := true
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if !argLists[key] {
			ok = normaliseArgs(value, field, p) && ok
			continue
		}
		list, complaint := argList(value)
		if complaint != "" {
			p.add(field, "", "in the patch: %s %s", key, complaint)
			ok = false
			continue
		}
		n.Content[i+1] = list
	}
	return ok
}

// argList is a list of name and value, of a map of arguments or such a list.
func argList(n *yaml.Node) (list *yaml.Node, complaint string) {
	if isNull(n) {
		return n, ""
	}
	list = &yaml.Node{Kind: yaml.SequenceNode}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			list.Content = append(list.Content, arg(n.Content[i].Value, n.Content[i+1]))
		}
	case yaml.SequenceNode:
		for _, entry := range n.Content {
			name := get(entry, "name")
			if isNull(name) || name.Kind != yaml.ScalarNode {
				return nil, "must be a map, or a list of name and value"
			}
			list.Content = append(list.Content, arg(name.Value, get(entry, "value")))
		}
	default:
		return nil, "must be a map, or a list of name and value, not a " + kindName(n)
	}
	for _, entry := range list.Content {
		if v := get(entry, "value"); v.Kind != yaml.ScalarNode {
			return nil, "has a " + kindName(v) + " as the value of " + quote(get(entry, "name").Value)
		}
	}
	return list, ""
}

// arg is one entry of an argument list; a value that is no string becomes one.
func arg(name string, value *yaml.Node) *yaml.Node {
	switch {
	case isNull(value):
		value = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	case value.Kind == yaml.ScalarNode:
		value = text(value.Value)
	}
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{text("name"), text(name), text("value"), value}}
}

// nodeMask is the size of a node's range of pod addresses: kubeadm's default,
// or what the cluster's patches of kube-controller-manager say. It is not ok
// when that cannot be told.
func nodeMask(c *Cluster, v6 bool) (bits int, ok bool) {
	bits, names := 24, map[string]bool{"node-cidr-mask-size": true, "node-cidr-mask-size-ipv4": true}
	if v6 {
		bits, names = 64, map[string]bool{"node-cidr-mask-size": true, "node-cidr-mask-size-ipv6": true}
	}
	for _, j := range c.Patches.KubeadmJSON6902 {
		if strings.Contains(j.Patch, "node-cidr-mask-size") {
			return 0, false
		}
	}
	for _, doc := range c.Patches.Kubeadm {
		roots, err := parseYAML([]byte(doc))
		if err != nil || len(roots) != 1 {
			return 0, false
		}
		args := get(get(roots[0], "controllerManager"), "extraArgs")
		for i := 0; args != nil && i < len(args.Content); i++ {
			name, value := get(args.Content[i], "name"), get(args.Content[i], "value")
			if name == nil || !names[name.Value] || isNull(value) {
				continue
			}
			if bits, err = strconv.Atoi(value.Value); err != nil {
				return 0, false
			}
		}
	}
	return bits, true
}
