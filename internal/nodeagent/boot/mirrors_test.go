package boot

import (
	"strings"
	"testing"

	"github.com/kluster-project/kluster/internal/cri"
)

func TestMirrorsFollowTheNode(t *testing.T) {
	const (
		source = "/etc/kluster/mirrors.d/20-user.json"
		hosts  = "/etc/containerd/certs.d/%/hosts.toml"
		users  = "[host.\"http://users.own\"]\n"
	)
	of := func(host string) string { return strings.ReplaceAll(hosts, "%", host) }
	m, _ := newMachine(t, map[string]string{
		source:                                  `[{"of":"docker.io","endpoints":["http://a"]},{"of":"quay.io","endpoints":["http://q"]}]`,
		"/etc/kluster/mirrors.d/30-caches.json": `[{"of":"docker.io","endpoints":["http://b","http://a"]}]`,
		of("users.own"):                         users,
	})
	m.Node.Runtime = "containerd"
	mustStep(t, m, "runtime-configuration")
	text := m.text(t, of("docker.io"))
	a, b := strings.Index(text, `"http://a"`), strings.Index(text, `"http://b"`)
	if a < 0 || b < a || strings.Count(text, `"http://a"`) != 1 {
		t.Errorf("of docker.io:\n%s", text)
	}
	// On a node that runs, without a boot.
	put(t, m.Root, source, `[]`)
	if err := TellMirrors(m); err != nil {
		t.Fatal(err)
	}
	if m.exists(of("quay.io")) {
		t.Error("a mirror that is no more is still asked")
	}
	if text := m.text(t, of("docker.io")); strings.Contains(text, `"http://a"`) && strings.Index(text, `"http://b"`) > strings.Index(text, `"http://a"`) {
		t.Errorf("of docker.io now:\n%s", text)
	}
	if m.text(t, of("users.own")) != users {
		t.Error("a user's own file was touched")
	}
	// The next runtime knows the same.
	next, err := cri.Get("cri-o")
	if err != nil {
		t.Fatal(err)
	}
	if err := UseRuntime(t.Context(), m, next, ""); err != nil {
		t.Fatal(err)
	}
	if text := m.text(t, "/etc/containers/registries.conf.d/mirrors.conf"); !strings.Contains(text, `location = "b"`) {
		t.Errorf("CRI-O's:\n%s", text)
	}
}

func TestDamagedMirrors(t *testing.T) {
	for _, text := range []string{"{", `[{"of":"docker.io","endpoints":["ftp://a"]}]`} {
		m, _ := newMachine(t, map[string]string{"/etc/kluster/mirrors.d/20-user.json": text})
		m.Node.Runtime = "containerd"
		if err := TellMirrors(m); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}
