package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRegistries(t *testing.T) {
	none := ""
	for _, test := range []struct {
		name, file string
		flags      Flags
		want       Registries
	}{
		{"none", none, Flags{}, Registries{}},
		{"local", "registries: {local: {}}", Flags{}, Registries{Local: &LocalRegistry{}}},
		{"null", "registries: {local: }", Flags{}, Registries{}},
		{"port", "registries: {local: {hostPort: 5005}}", Flags{Registry: true}, Registries{Local: &LocalRegistry{5005}}},
		{"flag", none, Flags{Registry: true}, Registries{Local: &LocalRegistry{}}},
		{
			"caches", "registries: {caches: [{registry: docker.io}, {registry: 'r.example:5000', url: 'http://10.0.0.1:5000/'}]}",
			Flags{},
			Registries{Caches: []Cache{{Registry: "docker.io"}, {"r.example:5000", "http://10.0.0.1:5000"}}},
		},
		{
			"flags over file", "registries: {caches: [{registry: docker.io}]}",
			Flags{Caches: []string{"registry.k8s.io", "a.example=https://b.example"}},
			Registries{Caches: []Cache{{Registry: "registry.k8s.io"}, {"a.example", "https://b.example"}}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Parse("f", []byte(kluster(test.file)), test.flags, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, c.Registries); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadRegistries(t *testing.T) {
	for says, file := range map[string]string{
		`f:3:22: registries.local.hostPort: must be from 1 to 65535, not 70000 (leave it out`:                    "{local: {hostPort: 70000}}",
		`registries.caches[0]: names no registry`:                                                                "{caches: [{url: 'http://a.example'}]}",
		`registries.caches[0]: "hub" is not the name of a registry`:                                              "{caches: [{registry: hub}]}",
		`registries.caches[0]: "https://docker.io" is not the name of a registry`:                                "{caches: [{registry: 'https://docker.io'}]}",
		`registries.caches[0]: "localhost:5000" is each node's own loopback address`:                             "{caches: [{registry: 'localhost:5000'}]}",
		`registries.caches[0]: "127.0.0.1:5000" is each node's own loopback address`:                             "{caches: [{registry: '127.0.0.1:5000'}]}",
		`registries.caches[0]: images of Docker Hub are not named by index.docker.io (did you mean "docker.io"?`: "{caches: [{registry: index.docker.io}]}",
		`registries.caches[1]: docker.io has a cache already, from registries.caches[0]`:                         "{caches: [{registry: docker.io}, {registry: docker.io}]}",
		`the URL is not one of a registry`:                                                                       "{caches: [{registry: a.example, url: 'a.example:5000'}]}",
		`the URL has more than a host and a port (write it as https://a.example)`:                                "{caches: [{registry: a.example, url: 'https://a.example/v2'}]}",
		`the URL holds credentials`:                                                                              "{caches: [{registry: a.example, url: 'https://me:secret@a.example'}]}",
		`registries.caches[0].uri: unknown field (did you mean "url"?)`:                                          "{caches: [{registry: a.example, uri: 'https://a.example'}]}",
	} {
		_, err := Parse("f", []byte(kluster("registries: "+file)), Flags{}, testOptions())
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %s", file, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells a password: %v", file, err)
		}
	}
	_, err := CheckCaches([]string{"docker.io", "hub"})
	if err == nil || !strings.Contains(err.Error(), `--cache hub: "hub" is not the name of a registry`) {
		t.Errorf("got %v", err)
	}
}
