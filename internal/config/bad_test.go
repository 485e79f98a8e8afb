package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/golden"
)

// TestBadFiles compares everything that is said about files full of mistakes.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			o := testOptions()
			o.KernelHasIPVS = false
			_, err := Load(file, nil, Flags{}, o)
			if err == nil {
				t.Fatal("no error")
			}
			golden.Check(t, strings.TrimSuffix(file, ".yaml")+".golden.txt", err.Error()+"\n")
		})
	}
}

// kluster is a file with a part of its own.
func kluster(rest string) string {
	return "apiVersion: kluster.dev/v1alpha1\nkind: Cluster\n" + rest
}

// TestBadContent is one problem each, among them files that are none at all.
func TestBadContent(t *testing.T) {
	deep := strings.Repeat("[", 500) + strings.Repeat("]", 500)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ",") + "]\n"
	}
	for _, test := range []struct{ name, data, want string }{
		{"empty", "", "f: the file is empty (start with apiVersion: kluster.dev/v1alpha1)"},
		{"comments only", "# nothing\n---\n", "f: the file is empty (start with apiVersion: kluster.dev/v1alpha1)"},
		{"binary", "\x7fELF\x02\x00\x01", "f: the file is not UTF-8 text"},
		{"latin 1", kluster("name: caf\xe9"), "f: the file is not UTF-8 text"},
		{"large", strings.Repeat(" ", maxFileSize+1), "f: the file is larger than 1 MiB"},
		{"a list", "- a\n", "f:1:1: must be a mapping, not a list (start with apiVersion: kluster.dev/v1alpha1)"},
		{"a word", "hello", "f:1:1: must be a mapping, not a string (start with apiVersion: kluster.dev/v1alpha1)"},
		{"two documents", kluster("---\n" + kluster("")), "f:4:1: the file holds 2 YAML documents (one cluster has one document)"},
		{"no YAML", kluster("name: [a\nnodes: []\n"), "f:4:6: not valid YAML: did not find expected ',' or ']'"},
		{"tab", kluster("nodes:\n\t- role: worker\n"), "f:4:1: not valid YAML: found character that cannot start any token"},
		{"ephemeral word", kluster("ephemeral: soon\n"), `f:3:1: ephemeral: must be true or false, not a string "soon"`},
		{"unknown anchor", kluster("name: *a\n"), "f:3:7: not valid YAML: unknown anchor 'a' referenced"},
		{"endless anchor", kluster("nodes: &a [*a]\n"), "f:3:8: too deep, or too large once its aliases are resolved"},
		{"deep", kluster("name: " + deep), "f:3:107: too deep, or too large once its aliases are resolved"},
		{"many aliases", bomb, "f:1:18: too deep, or too large once its aliases are resolved"},
		{"merge of a list", kluster("networking:\n  <<: [a]\n"), "f:4:8: a merge key (<<) needs a mapping, not a string"},
		{"no apiVersion", "kind: Cluster", "f:1:1: apiVersion: must be given, as kluster.dev/v1alpha1 or kind.x-k8s.io/v1alpha4"},
		{"no kind", "apiVersion: kluster.dev/v1alpha1", "f:1:1: kind: must be given, as Cluster"},
		{"other apiVersion", "apiVersion: v1\nkind: Pod\nspec: {}", `f:1:13: apiVersion: must be kluster.dev/v1alpha1 or kind.x-k8s.io/v1alpha4, not "v1"`},
		{"old kind", "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha3\n", `f:2:13: apiVersion: must be kluster.dev/v1alpha1 or kind.x-k8s.io/v1alpha4, not "kind.x-k8s.io/v1alpha3" (did you mean "kind.x-k8s.io/v1alpha4"?)`},
		{"other kind", "kind: Clusters\napiVersion: kluster.dev/v1alpha1\n", `f:1:7: kind: must be Cluster, not "Clusters" (did you mean "Cluster"?)`},
		{"key twice", kluster("name: a\nname: b\n"), "f:4:1: name: given twice, first in line 3"},
		{"key no string", kluster("featureGates:\n  ? [a]\n  : true\n"), "f:4:5: featureGates: a key must be a string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("f", []byte(test.data), Flags{}, testOptions())
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ path, want string }{
		{dir, dir + ": is a directory, not a configuration file (name a file in it)"},
		{dir + "/none.yaml", dir + "/none.yaml: no such file"},
	} {
		_, err := Load(test.path, nil, Flags{}, testOptions())
		if err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestLoadStandardInput(t *testing.T) {
	c, err := Load("-", strings.NewReader(kluster("name: piped")), Flags{}, testOptions())
	if err != nil || c.Name != "piped" {
		t.Errorf("got %v, %v", c, err)
	}
	_, err = Load("-", strings.NewReader(""), Flags{}, testOptions())
	if err == nil || !strings.HasPrefix(err.Error(), "standard input: the file is empty") {
		t.Errorf("got %v", err)
	}
}
