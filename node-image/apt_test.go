package nodeimage

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/nodespec"
)

func TestMirrorsAreDebiansOwn(t *testing.T) {
	const text = "http://m.example/debian/\tbookworm\tmain\tDebian\n" +
		"http://m.example/debian/\tbookworm-updates\tmain\t$(ORIGIN)\n" +
		"http://m.example/security/\tbookworm-security\tmain\tDebian\n" +
		"http://m.example/debian/\tbookworm-backports\tmain\tDebian\n" +
		"http://m.example/debian/\tbookworm\tcontrib\tDebian\n" +
		"https://other.example/apt\tbookworm\tmain\tSomebody\n" +
		"https://other.example/sdk\tsdk-bookworm\tmain\t$(ORIGIN)\n"
	env := Env{Keyring: "/k.gpg", Sources: func() ([]aptSource, error) { return parseSources(text), nil }}
	for suite, want := range map[string][]string{
		"bookworm": {
			"deb [signed-by=/k.gpg] http://m.example/debian/ bookworm main", "deb [signed-by=/k.gpg] http://m.example/debian/ bookworm-updates main",
			"deb [signed-by=/k.gpg] http://m.example/security/ bookworm-security main",
		},
		"trixie": {
			"deb [signed-by=/k.gpg] http://m.example/debian/ trixie main", "deb [signed-by=/k.gpg] http://m.example/debian/ trixie-updates main",
			"deb [signed-by=/k.gpg] http://m.example/security/ trixie-security main",
		},
	} {
		got, err := env.mirrors(context.Background(), suite)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTransportOptions(t *testing.T) {
	got := transportOptions("APT::Architecture \"amd64\";\nAcquire::http::Proxy \"http://p.example:3128\";\nAcquire::https \"\";\nAcquire::cdrom \"x\";\n")
	want := []string{`APT::Install-Recommends "false"`, `Acquire::http::Proxy "http://p.example:3128"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseStatus(t *testing.T) {
	got := parseStatus("Package: a\nStatus: install ok installed\nVersion: 1:2-3\nDescription: x\n y\n\nPackage: b\nStatus: deinstall ok config-files\nVersion: 1\n")
	if diff := cmp.Diff([]nodespec.PackageRecord{{Name: "a", Version: "1:2-3"}}, got); diff != "" {
		t.Error(diff)
	}
}
