package configs_test

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What follows needs no cluster.

// TestRows holds the tables against the folders: a file that nothing is said
// about is an error, and so is a row of no file.
func TestRows(t *testing.T) {
	for dir, rows := range map[string]map[string]row{kindDir: kindRows, examplesDir: exampleRows} {
		found, err := filepath.Glob(dir + "/*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var files []string
		for _, f := range found {
			files = append(files, filepath.Base(f))
		}
		if d := cmp.Diff(files, slices.Sorted(maps.Keys(rows))); d != "" {
			t.Errorf("%s (-files +rows):\n%s", dir, d)
		}
		for file, r := range rows {
			if len(r.nodes) == 0 || len(r.checks) == 0 {
				t.Errorf("%s: the row checks nothing", file)
			}
		}
	}
}

func TestPropagation(t *testing.T) {
	const mountinfo = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /mnt rw - tmpfs tmpfs rw
24 22 0:6 / /media rw shared:7 master:3 - tmpfs tmpfs rw
25 24 0:7 / /media/a rw master:4 - tmpfs tmpfs rw
26 24 0:8 / /media/a rw - tmpfs tmpfs rw
`
	for path, want := range map[string][]string{
		"/home": {"shared:1"}, "/mnt": {}, "/mnt/x": {}, "/mntx": {"shared:1"},
		"/media": {"shared:7", "master:3"}, "/media/b": {"shared:7", "master:3"}, "/media/a/b": {},
	} {
		if d := cmp.Diff(want, propagation(mountinfo, path)); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
}

func TestSearchList(t *testing.T) {
	for text, want := range map[string][]string{
		"nameserver 10.0.0.1\n":                     nil,
		"search a b\nnameserver 10.0.0.1\n":         {"a", "b"},
		"domain a\nsearch b.c\noptions ndots:0\n":   {"b.c"},
		"# search x\nnameserver 10.0.0.1\nsearch\n": {},
	} {
		if d := cmp.Diff(want, searchList(text)); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	}
}

func TestParseFlags(t *testing.T) {
	got := parseFlags([]string{"kube-apiserver", "--v=4", "--feature-gates=A=true,B=false", "--bare"})
	if d := cmp.Diff(map[string]string{"v": "4", "feature-gates": "A=true,B=false", "bare": ""}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestDig(t *testing.T) {
	doc := map[string]any{"a": map[string]any{"b/c": 1}, "d": []any{1}}
	for _, tt := range []struct {
		path []string
		want any
	}{{[]string{"a", "b/c"}, 1}, {[]string{"a", "x"}, nil}, {[]string{"d", "x"}, nil}, {[]string{"x", "y"}, nil}} {
		if d := cmp.Diff(tt.want, dig(doc, tt.path...)); d != "" {
			t.Errorf("%v (-want +got):\n%s", tt.path, d)
		}
	}
}
