package kubeconfig

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

var entry = Entry{
	Name: "kluster-demo", Server: "https://127.0.0.1:40123",
	CA: []byte("ca"), ClientCertificate: []byte("cert"), ClientKey: []byte("key"),
}

// theirs is somebody's file, with what a careless editor would lose.
const theirs = `# my clusters
apiVersion: v1
kind: Config
x-tool: {keep: me}
clusters:
# production
- name: prod
  cluster:
    server: https://prod.example.com # do not touch
    unknown-field: 1
contexts:
- name: prod
  context: {cluster: prod, user: me}
users:
- name: me
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: login}
current-context: prod
`

func TestWithEntryKeepsTheRest(t *testing.T) {
	got, err := withEntry([]byte(theirs), entry)
	if err != nil {
		t.Fatal(err)
	}
	for _, keep := range []string{"# my clusters", "x-tool: {keep: me}", "# production", "# do not touch", "unknown-field: 1", "command: login"} {
		if !strings.Contains(string(got), keep) {
			t.Errorf("lost %q:\n%s", keep, got)
		}
	}
	if c := load(t, got); c.CurrentContext != entry.Name || len(c.Clusters) != 2 {
		t.Errorf("current context %q, %d clusters", c.CurrentContext, len(c.Clusters))
	}
	checkEntry(t, got, entry)
	again, err := withEntry(got, entry)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(again)); diff != "" {
		t.Errorf("merging twice changes the file:\n%s", diff)
	}
	back, err := withoutEntry(got, entry.Name)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(theirs, "current-context: prod", `current-context: ""`, 1)
	if diff := cmp.Diff(want, string(back)); diff != "" {
		t.Errorf("after removing the entry again, -want +got:\n%s", diff)
	}
}

func TestWithEntryReplaces(t *testing.T) {
	old := entry
	old.Server = "https://127.0.0.1:1"
	data, err := withEntry(nil, old)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = withEntry(data, entry); err != nil {
		t.Fatal(err)
	}
	checkEntry(t, data, entry)
	if c := load(t, data); len(c.Clusters)+len(c.AuthInfos)+len(c.Contexts) != 3 {
		t.Errorf("the old entry is still there:\n%s", data)
	}
}

func TestWithEntryForms(t *testing.T) {
	for name, data := range map[string]string{
		"empty":       "",
		"blank":       "\n \n",
		"no lists":    "apiVersion: v1\nkind: Config\n",
		"null lists":  "apiVersion: v1\nkind: Config\nclusters: null\ncontexts:\nusers: ~\n",
		"empty lists": "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n",
		"JSON":        `{"apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": null}`,
		"anchors":     "apiVersion: v1\nkind: Config\nclusters:\n- &a {name: a, cluster: {server: x}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := withEntry([]byte(data), entry)
			if err != nil {
				t.Fatal(err)
			}
			checkEntry(t, got, entry)
		})
	}
}

func TestEditRefuses(t *testing.T) {
	for name, data := range map[string]string{
		"not YAML":         "a: [",
		"a list":           "- a\n",
		"a text":           "hello\n",
		"binary":           "\x00\x01\xff",
		"another kind":     "apiVersion: v1\nkind: Pod\n",
		"wrong types":      "apiVersion: v1\nkind: Config\nclusters: 3\n",
		"two documents":    "apiVersion: v1\nkind: Config\n---\napiVersion: v1\nkind: Config\n",
		"comments, no end": "# only\n---\n- 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := withEntry([]byte(data), entry); err == nil {
				t.Errorf("no error, but\n%s", got)
			}
		})
	}
}

func TestWithoutEntry(t *testing.T) {
	tests := []struct {
		name, remove string
		unchanged    bool
		current      string
	}{
		{"somebody else's", "other", true, "prod"},
		{"the current one", "prod", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := withoutEntry([]byte(theirs), tt.remove)
			if err != nil {
				t.Fatal(err)
			}
			if (string(got) == theirs) != tt.unchanged {
				t.Errorf("unchanged is not %v:\n%s", tt.unchanged, got)
			}
			if c := load(t, got); c.CurrentContext != tt.current {
				t.Errorf("current context %q, want %q", c.CurrentContext, tt.current)
			}
		})
	}
}

func TestRewrite(t *testing.T) {
	conf, err := Render(Entry{Name: "kubernetes-admin@demo", Server: "https://demo-api:16443", CA: []byte("ca"), ClientCertificate: []byte("cert"), ClientKey: []byte("key")})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Rewrite(conf, entry.Name, entry.Server)
	if err != nil {
		t.Fatal(err)
	}
	checkEntry(t, got, entry)
	for _, bad := range []string{"", "a: [", "apiVersion: v1\nkind: Config\ncurrent-context: x\n"} {
		if _, err := Rewrite([]byte(bad), "n", "s"); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func checkEntry(t *testing.T, data []byte, want Entry) {
	t.Helper()
	got, err := Parse(data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func load(t *testing.T, data []byte) *api.Config {
	t.Helper()
	c, err := clientcmd.Load(data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return c
}

// FuzzMerge: whatever is in the file, merging fails or leaves all that was there
// and the entry; and removing the entry again leaves what was there.
func FuzzMerge(f *testing.F) {
	for _, seed := range []string{
		theirs, "", "apiVersion: v1\nkind: Config\nclusters: [{name: kluster-demo, cluster: {}}, {name: kluster-demo}]\n",
		`{"clusters":[null,{"name":"x"}],"current-context":"x"}`,
		"users: &a\n- name: x\ncontexts: []\nclusters: *a\n",
	} {
		f.Add([]byte(seed))
	}
	name := entry.Name
	f.Fuzz(func(t *testing.T, data []byte) {
		merged, err := withEntry(data, entry)
		if err != nil {
			return
		}
		before, after := api.NewConfig(), load(t, merged)
		if strings.TrimSpace(string(data)) != "" {
			before = load(t, data)
		}
		if after.CurrentContext != name || after.Clusters[name] == nil || after.AuthInfos[name] == nil {
			t.Fatalf("the entry is not there:\n%s", merged)
		}
		removed, err := withoutEntry(merged, name)
		if err != nil {
			t.Fatal(err)
		}
		left := load(t, removed)
		for _, c := range []*api.Config{before, after, left} {
			delete(c.Clusters, name)
			delete(c.Contexts, name)
			delete(c.AuthInfos, name)
			c.CurrentContext = ""
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("merging changed other entries (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(before, left); diff != "" {
			t.Fatalf("removing changed other entries (-before +after):\n%s", diff)
		}
	})
}
