package kubeadm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/yaml"

	"github.com/kluster-project/kluster/internal/config"
)

// applyJSON6902 gives doc with an RFC 6902 patch, written as JSON or YAML. A patch
// for v1beta3 or older sees flags as maps, which is what its paths are about.
func applyJSON6902(p config.JSON6902, doc object) (object, error) {
	patch, err := decodeJSON6902(p.Patch)
	if err != nil {
		return nil, err
	}
	if usesArgMaps(p) {
		doc = eachArgs(doc, func(args []arg) any {
			m := object{}
			for _, a := range args {
				m[a.name] = a.value
			}
			return m
		})
	}
	in, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	b, err := patch.Apply(in)
	if err != nil {
		return nil, err
	}
	var out object
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("the patched document: %w", err)
	}
	return eachArgs(out, func(args []arg) any { return argList(args) }), nil
}

func decodeJSON6902(text string) (jsonpatch.Patch, error) {
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	return jsonpatch.DecodePatch(b)
}

func usesArgMaps(p config.JSON6902) bool {
	return p.Group == "kubeadm.k8s.io" && (p.Version == "v1beta3" || p.Version == "v1beta2")
}

// eachArgs gives o with every list of flags replaced by what f makes of it.
func eachArgs(o object, f func([]arg) any) object {
	o = clone(o)
	walkArgs(o, f)
	return o
}

func walkArgs(o object, f func([]arg) any) {
	for key, v := range o {
		if argLists[key] {
			if args, ok := argsOf(v); ok {
				o[key] = f(args)
			}
			continue
		}
		if sub, ok := v.(object); ok {
			walkArgs(sub, f)
		}
	}
}

func newLineReader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }
