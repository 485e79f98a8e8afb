package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

// decode fills out, a pointer to a struct with json tags, from a YAML tree. It
// notes every unknown or doubled field and every value of a wrong form, and
// where each field stands.
func decode(root *yaml.Node, out any, p *problems) {
	p.at, p.broken = map[string]position{}, map[string]bool{}
	decodeValue(root, reflect.ValueOf(out).Elem(), "", p)
}

var documentType = reflect.TypeFor[v1alpha1.Document]()

func decodeValue(n *yaml.Node, v reflect.Value, path string, p *problems) {
	if _, ok := p.at[path]; !ok {
		p.at[path] = position{n.Line, n.Column}
	}
	if isNull(n) {
		return // as if it were not there
	}
	if v.Type() == documentType {
		decodeDocument(n, v, path, p)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		decodeValue(n, v.Elem(), path, p)
	case reflect.Struct:
		decodeStruct(n, v, path, p)
	case reflect.Slice:
		decodeSlice(n, v, path, p)
	case reflect.Map:
		decodeMap(n, v, path, p)
	default:
		decodeScalar(n, v, path, p)
	}
}

// decodeDocument keeps a mapping, or a block of text, as text.
func decodeDocument(n *yaml.Node, v reflect.Value, path string, p *problems) {
	switch n.Kind {
	case yaml.MappingNode:
		v.SetString(encodeYAML(n))
	case yaml.ScalarNode:
		v.SetString(n.Value)
	default:
		wrongForm(n, "mapping", path, p)
	}
}

func decodeStruct(n *yaml.Node, v reflect.Value, path string, p *problems) {
	fields := fieldsOf(v.Type())
	eachPair(n, path, p, func(key string, at position, value *yaml.Node) {
		field := child(path, key)
		p.at[field] = at
		i, ok := fields.index[key]
		if !ok {
			p.add(field, nearestOrAll(key, fields.names), "unknown field")
			return
		}
		decodeValue(value, v.Field(i), field, p)
	})
}

func decodeMap(n *yaml.Node, v reflect.Value, path string, p *problems) {
	v.Set(reflect.MakeMap(v.Type()))
	eachPair(n, path, p, func(key string, at position, value *yaml.Node) {
		field := item(path, key)
		p.at[field] = at
		element := reflect.New(v.Type().Elem()).Elem()
		decodeValue(value, element, field, p)
		v.SetMapIndex(reflect.ValueOf(key), element)
	})
}

func decodeSlice(n *yaml.Node, v reflect.Value, path string, p *problems) {
	if n.Kind != yaml.SequenceNode {
		wrongForm(n, "list", path, p)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		field := item(path, i)
		if isNull(c) {
			p.at[field] = position{c.Line, c.Column}
			p.add(field, "", "nothing is given")
			continue
		}
		decodeValue(c, v.Index(i), field, p)
	}
}

// eachPair calls f for each field of a mapping, once for each key.
func eachPair(n *yaml.Node, path string, p *problems, f func(key string, at position, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		wrongForm(n, "mapping", path, p)
		return
	}
	seen := map[string]position{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := position{key.Line, key.Column}
		if key.Kind != yaml.ScalarNode {
			p.list = append(p.list, Problem{File: p.file, Line: at.line, Column: at.column, Field: path, Message: "a key must be a string"})
			continue
		}
		if first, ok := seen[key.Value]; ok {
			p.list = append(p.list, Problem{
				File: p.file, Line: at.line, Column: at.column, Field: child(path, key.Value),
				Message: "given twice, first in line " + strconv.Itoa(first.line),
			})
			continue
		}
		seen[key.Value] = at
		f(key.Value, at, n.Content[i+1])
	}
}

func decodeScalar(n *yaml.Node, v reflect.Value, path string, p *problems) {
	if n.Kind != yaml.ScalarNode {
		wrongForm(n, v.Kind().String(), path, p)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		var b bool
		if n.Decode(&b) != nil {
			wrongForm(n, "bool", path, p)
		}
		v.SetBool(b)
	case reflect.Int:
		var i int
		if n.Decode(&i) != nil {
			wrongForm(n, "int", path, p)
		}
		v.SetInt(int64(i))
	}
}

func wrongForm(n *yaml.Node, want, path string, p *problems) {
	names := map[string]string{"bool": "true or false", "int": "a whole number"}
	if name, ok := names[want]; ok {
		want = name
	} else {
		want = "a " + want
	}
	got := kindName(n)
	if n.Kind == yaml.ScalarNode {
		got += " " + strconv.Quote(shorten(n.Value))
	}
	p.add(path, "", "must be %s, not a %s", want, got)
	p.broken[path] = true
}

// shorten keeps a quoted value readable in a message.
func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

type fieldSet struct {
	index map[string]int
	names []string
}

func fieldsOf(t reflect.Type) fieldSet {
	f := fieldSet{index: map[string]int{}}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		f.index[name] = i
		f.names = append(f.names, name)
	}
	slices.Sort(f.names)
	return f
}

// child is the path of a field of a mapping.
func child(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// item is the path of an element of a list or map.
func item[K int | string](path string, key K) string {
	switch k := any(key).(type) {
	case int:
		return path + "[" + strconv.Itoa(k) + "]"
	case string:
		return path + "[" + k + "]"
	}
	return path
}

// quote is a value in a message.
func quote(s string) string { return strconv.Quote(shorten(s)) }
