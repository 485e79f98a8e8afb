package kubeadm

import (
	"errors"
	"fmt"
	"io"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/config"
)

// patches are one level's: the cluster's or a node's.
type patches struct {
	merges []mergePatch
	json   []config.JSON6902
}

type mergePatch struct {
	kind kind
	body object
}

// parsePatches reads patches. A kind that nothing here can change is an error.
func parsePatches(p config.Patches) (patches, error) {
	out := patches{json: p.KubeadmJSON6902}
	for i, text := range p.Kubeadm {
		r := utilyaml.NewYAMLReader(newLineReader(text))
		for {
			doc, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return patches{}, fmt.Errorf("kubeadm patch %d: %w", i+1, err)
			}
			m, err := parseMerge(doc)
			if err != nil {
				return patches{}, fmt.Errorf("kubeadm patch %d: %w", i+1, err)
			}
			if m.body != nil {
				out.merges = append(out.merges, m)
			}
		}
	}
	for i, j := range p.KubeadmJSON6902 {
		if err := checkKind(kind(j.Kind)); err != nil {
			return patches{}, fmt.Errorf("kubeadm JSON 6902 patch %d: %w", i+1, err)
		}
	}
	return out, nil
}

// parseMerge reads one document; an empty one gives no body.
func parseMerge(doc []byte) (mergePatch, error) {
	var body object
	if err := yaml.Unmarshal(doc, &body); err != nil {
		return mergePatch{}, err
	}
	if body == nil {
		return mergePatch{}, nil
	}
	m := mergePatch{kind: kind(str(body, "kind")), body: body}
	delete(body, "kind")
	delete(body, "apiVersion")
	return m, checkKind(m.kind)
}

func checkKind(k kind) error {
	if _, ok := apiVersions[k]; ok {
		return nil
	}
	var known []string
	for _, k := range []kind{initKind, joinKind, clusterKind, kubeletKind, proxyKind} {
		known = append(known, string(k))
	}
	if k == "" {
		return fmt.Errorf("has no kind (one of %s)", strings.Join(known, ", "))
	}
	return fmt.Errorf("kind %s is none of %s", k, strings.Join(known, ", "))
}

// apply gives doc with the patches of its kind, merges first.
func (p patches) apply(k kind, doc object) (object, error) {
	doc = clone(doc)
	for _, m := range p.merges {
		if m.kind == k {
			merge(doc, clone(m.body))
		}
	}
	for i, j := range p.json {
		if kind(j.Kind) != k {
			continue
		}
		var err error
		if doc, err = applyJSON6902(j, doc); err != nil {
			return nil, fmt.Errorf("kubeadm JSON 6902 patch %d, of %s: %w", i+1, k, err)
		}
	}
	return doc, nil
}

// merge applies an RFC 7386 merge patch to doc, but that lists of flags are
// merged by the flags' names: a patch that adds a flag must not take away those
// the cluster needs.
func merge(doc, patch object) {
	for key, v := range patch {
		if v == nil {
			delete(doc, key)
			continue
		}
		if argLists[key] {
			base, ok := argsOf(doc[key])
			over, isArgs := argsOf(v)
			if ok && isArgs {
				doc[key] = argList(without(override(base, over), nulls(v)))
				continue
			}
		}
		if sub, ok := v.(object); ok {
			merge(ensure(doc, key), sub)
			continue
		}
		doc[key] = v
	}
}
