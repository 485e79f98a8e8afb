package kubeadm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// arg is a component's flag. One name may occur several times.
type arg struct{ name, value string }

// argLists are the fields that hold args. v1beta4 has lists of name and value
// there, where v1beta3 had maps.
var argLists = map[string]bool{"extraArgs": true, "kubeletExtraArgs": true}

// argsOf reads args in either form. ok is false for anything else.
func argsOf(v any) (args []arg, ok bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case object:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			args = append(args, arg{name, fmt.Sprint(v[name])})
		}
		return args, true
	case []any:
		for _, e := range v {
			o, isObject := e.(object)
			if !isObject || str(o, "name") == "" {
				return nil, false
			}
			value := ""
			if o["value"] != nil {
				value = fmt.Sprint(o["value"])
			}
			args = append(args, arg{str(o, "name"), value})
		}
		return args, true
	}
	return nil, false
}

// argList is v1beta4's form.
func argList(args []arg) []any {
	list := []any{}
	for _, a := range args {
		list = append(list, object{"name": a.name, "value": a.value})
	}
	return list
}

// override gives base with over: what over names replaces all of that name.
func override(base, over []arg) []arg {
	out := slices.DeleteFunc(slices.Clone(base), func(b arg) bool {
		return slices.ContainsFunc(over, func(o arg) bool { return o.name == b.name })
	})
	return append(out, over...)
}

// nulls are the names of the flags, in either form, that v sets to null. That
// takes a flag away, where an empty value is one.
func nulls(v any) map[string]bool {
	names := map[string]bool{}
	switch v := v.(type) {
	case object:
		for name, value := range v {
			if value == nil {
				names[name] = true
			}
		}
	case []any:
		for _, e := range v {
			o, _ := e.(object)
			if value, given := o["value"]; given && value == nil {
				names[str(o, "name")] = true
			}
		}
	}
	return names
}

// without gives args less those of these names.
func without(args []arg, names map[string]bool) []arg {
	return slices.DeleteFunc(slices.Clone(args), func(a arg) bool { return names[a.name] })
}

// valueOf gives the last value of a flag.
func valueOf(args []arg, name string) (string, bool) {
	for _, a := range slices.Backward(args) {
		if a.name == name {
			return a.value, true
		}
	}
	return "", false
}

// setArg sets a flag in the args at key of o.
func setArg(o object, key, name, value string) {
	args, _ := argsOf(o[key])
	o[key] = argList(override(args, []arg{{name, value}}))
}

// joinPairs writes a map as "a=1,b=2", sorted.
func joinPairs[V any](m map[string]V) string {
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, fmt.Sprintf("%s=%v", k, m[k]))
	}
	return strings.Join(pairs, ",")
}
