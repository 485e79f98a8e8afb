package cri

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
)

var someMirrors = []nodespec.Mirror{
	{Of: "docker.io", Endpoints: []string{"http://cache:5000", "https://mirror.example/hub/"}},
	{Of: "private.example:5000", Endpoints: []string{"https://10.0.0.1"}},
}

func mirrorText(t *testing.T, r Runtime, list []nodespec.Mirror) map[string]string {
	t.Helper()
	files, err := r.Mirrors.Files(list)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		if !strings.HasPrefix(string(f.Data), Mark) {
			t.Errorf("%s does not say who wrote it", f.Path)
		}
		all[f.Path] = string(f.Data)
	}
	return all
}

func TestContainerdMirrors(t *testing.T) {
	got := mirrorText(t, containerd, someMirrors)
	want := map[string]string{
		"/etc/containerd/certs.d/docker.io/hosts.toml": Mark +
			"[host.\"http://cache:5000\"]\ncapabilities = [\"pull\", \"resolve\"]\n" +
			"[host.\"https://mirror.example/v2/hub\"]\ncapabilities = [\"pull\", \"resolve\"]\noverride_path = true\n",
		"/etc/containerd/certs.d/private.example:5000/hosts.toml": Mark +
			"[host.\"https://10.0.0.1\"]\ncapabilities = [\"pull\", \"resolve\"]\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if none := mirrorText(t, containerd, nil); len(none) != 0 {
		t.Errorf("no mirrors: %v", none)
	}
}

func TestCRIOMirrors(t *testing.T) {
	const file = "/etc/containers/registries.conf.d/mirrors.conf"
	got := mirrorText(t, crio, someMirrors)
	mirror := func(location string, insecure bool) any {
		return map[string]any{"location": location, "insecure": insecure}
	}
	want := map[string]any{"registry": []any{
		map[string]any{"location": "docker.io", "mirror": []any{mirror("cache:5000", true), mirror("mirror.example/hub", false)}},
		map[string]any{"location": "private.example:5000", "mirror": []any{mirror("10.0.0.1", false)}},
	}}
	if diff := cmp.Diff(want, at(t, got[file])); diff != "" {
		t.Error(diff)
	}
	if none := mirrorText(t, crio, nil); at(t, none[file], "registry") != nil {
		t.Errorf("no mirrors: %v", none)
	}
}

func TestParseEndpoint(t *testing.T) {
	for text, want := range map[string]Endpoint{
		"http://a:5000":           {URL: "http://a:5000", Host: "a:5000", Insecure: true},
		"https://a":               {URL: "https://a", Host: "a"},
		"https://a/b/../hub//":    {URL: "https://a", Host: "a", Prefix: "hub"},
		"https://[fd00::1]:5/x/y": {URL: "https://[fd00::1]:5", Host: "[fd00::1]:5", Prefix: "x/y"},
	} {
		got, err := ParseEndpoint(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for _, text := range []string{"", "a:5000", "ftp://a", "http://", "https://me:secret@a", "https://a?b", "https://a#b", "://", "http://a b"} {
		if e, err := ParseEndpoint(text); err == nil {
			t.Errorf("%q is %+v", text, e)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows the password: %v", text, err)
		}
	}
}
