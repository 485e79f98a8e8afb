package addons

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kluster-project/kluster/internal/failure"
)

const someAddons = `
addons:
- {name: base, description: always there, builtIn: early}
- {name: kinds, description: only kinds, files: [{graph: g, path: "crds/*.yaml"}]}
- name: app
  description: an app
  requires: [kinds]
  images: [app, helper]
  files: [{graph: g, module: example.com/m, path: app.yaml}]
  patches:
  - kind: Deployment
    name: app
    patch: |
      - {op: replace, path: /spec/image, value: '{{image "app"}}'}
`

// some is a table of a test's own, with more manifests.
func some(text string, more map[string]string) (*Table, error) {
	files := fstest.MapFS{"base/a.yaml": {Data: []byte("kind: A\nmetadata: {name: a}\n")}}
	for name, data := range more {
		files[name] = &fstest.MapFile{Data: []byte(data)}
	}
	return parse([]byte(text), files)
}

func mustSome(t *testing.T) *Table {
	t.Helper()
	all, err := some(someAddons, map[string]string{"app/b.yaml": "kind: B\nmetadata: {name: {{.Cluster}}}\n"})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPick(t *testing.T) {
	all := mustSome(t)
	if diff := cmp.Diff([]string{"kinds", "app"}, all.Names()); diff != "" {
		t.Errorf("what can be asked for: %s", diff)
	}
	for _, names := range [][]string{{"app"}, {"app", "kinds", "app"}} {
		picked, err := all.Pick(names...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range picked {
			got = append(got, a.Name)
		}
		if diff := cmp.Diff([]string{"kinds", "app"}, got); diff != "" {
			t.Errorf("%v: %s", names, diff)
		}
	}
	for name, hint := range map[string]string{"appp": `did you mean "app"?`, "base": "no add-on", "x": "no add-on"} {
		_, err := all.Pick("kinds", name)
		if failure.Code(err) != failure.CodeUsage || !strings.Contains(err.Error(), hint) || len(failure.Hints(err)) == 0 {
			t.Errorf("%s: err = %v, hints %v", name, err, failure.Hints(err))
		}
	}
}

func TestArtifacts(t *testing.T) {
	picked, err := mustSome(t).Pick("app")
	if err != nil {
		t.Fatal(err)
	}
	want := Artifacts{
		Images: []string{"app", "helper"},
		Files:  []File{{Graph: "g", Path: "crds/*.yaml"}, {Graph: "g", Module: "example.com/m", Path: "app.yaml"}},
	}
	if diff := cmp.Diff(want, ArtifactsOf(append(picked, picked...))); diff != "" {
		t.Error(diff)
	}
}

func TestRenderFiles(t *testing.T) {
	picked, err := mustSome(t).Pick("app")
	if err != nil {
		t.Fatal(err)
	}
	app := picked[1]
	render := func(image, file string) ([]*unstructured.Unstructured, error) {
		return app.Render(Values{Cluster: "c", Images: map[string]string{"app": image, "other": "x"}}, [][][]byte{{[]byte(file)}})
	}
	const deployment = "---\nkind: Deployment\nmetadata: {name: app}\nspec: {image: upstream}\n---\n# nothing\n"
	objects, err := render("r/app:v1", deployment)
	if err != nil {
		t.Fatal(err)
	}
	all := kinds(objects)
	if image, _, _ := unstructured.NestedString(all["Deployment app"].Object, "spec", "image"); image != "r/app:v1" {
		t.Errorf("the patch was not made: %v", all["Deployment app"])
	}
	if all["B c"] == nil || len(all) != 2 {
		t.Errorf("objects: %v", all)
	}
	for name, bad := range map[string]struct{ image, file, want string }{
		"no such image":           {"", deployment, `no image "app"`},
		"nothing to patch":        {"r", "kind: Other\nmetadata: {name: app}\n", "no such object"},
		"an operation that fails": {"r", "kind: Deployment\nmetadata: {name: app}\n", "patch of Deployment app"},
		"not YAML":                {"r", "kind: [", "app.yaml"},
		"no object":               {"r", "a: b\n", "no object"},
	} {
		if _, err := render(bad.image, bad.file); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	if _, err := app.Render(Values{}, nil); err == nil {
		t.Error("rendered without its files")
	}
}

// TestImagesAreListed: what a bundle carries is what the table lists.
func TestImagesAreListed(t *testing.T) {
	_, err := some("addons:\n- {name: x, description: d}\n", map[string]string{
		"base/a.yaml": "", "x/a.yaml": `{kind: A, metadata: {name: '{{image "app"}}'}}`,
	})
	if err == nil || !strings.Contains(err.Error(), "folder base") {
		t.Fatalf("a folder of no add-on: err = %v", err)
	}
	all, err := some("addons:\n- {name: base, description: d}\n- {name: x, description: d}\n", map[string]string{"x/a.yaml": `{kind: A, metadata: {name: '{{image "app"}}'}}`})
	if err != nil {
		t.Fatal(err)
	}
	x := all.All()[1]
	if _, err := x.Render(Values{Images: map[string]string{"app": "a"}}, nil); err == nil {
		t.Error("an image that is not listed")
	}
}

func TestBadTables(t *testing.T) {
	for text, want := range map[string]string{
		"addons: [{name: base, description: d, color: red}]":                   "color",
		"addons: [{name: base, description: d}, {name: base, description: d}]": "twice",
		"addons: [{name: base}]":                                               "needs a description",
		"addons: [{name: Base, description: d}]":                               "not a name",
		"addons: [{name: base, description: d, builtIn: soon}]":                "builtIn",
		"addons: [{name: base, description: d, requires: [base]}]":             "requires",
		"addons: [{name: base, description: d, builtIn: late}, {name: b, description: d, requires: [base], files: [{graph: g, path: a}]}]": "requires",
		"addons: [{name: base, description: d, builtIn: late, files: [{graph: g, path: a}]}]":                                              "excludes",
		"addons: [{name: base, description: d, files: [{graph: g, path: /a}]}]":                                                            "path",
		"addons: [{name: base, description: d, files: [{graph: g, path: '[a'}]}]":                                                          "path",
		"addons: [{name: base, description: d, patches: [{name: a, patch: '[]'}]}]":                                                        "kind",
		"addons: [{name: base, description: d, patches: [{kind: A, patch: '{{.'}]}]":                                                       "A ",
		"addons: [{name: base, description: d}, {name: other, description: d}]":                                                            "files or a folder",
		"addons: {": "reading the table",
	} {
		if _, err := some(text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v", text, err)
		}
	}
	if _, err := some("addons: [{name: base, description: d}]", map[string]string{"base/b.yaml": "{{if}}"}); err == nil {
		t.Error("a manifest that is no template")
	}
}

// TestTable holds the embedded table to what it says of itself.
func TestTable(t *testing.T) {
	all := table(t)
	if !slices.Contains(all.Names(), "metrics-server") || slices.Contains(all.Names(), "storage") {
		t.Errorf("what can be asked for: %v", all.Names())
	}
}
