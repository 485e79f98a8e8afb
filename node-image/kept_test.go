package nodeimage

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/failure"
)

// keep makes what e2e runs need in a cache, on a machine with Go.
func (m *machine) keep(cache string) []Kept {
	m.t.Helper()
	kept, err := keepE2E(m.t.Context(), m.catalog(), m.suiteSpec(), m.env, m.options(cache))
	if err != nil {
		m.t.Fatal(err)
	}
	return kept
}

func (m *machine) options(cache string) Options {
	return Options{CacheDir: cache, Sandbox: &fakeSandbox{}, Progress: &progressLog{}}
}

// withoutGo is a machine that was given what another one has kept.
func (m *machine) withoutGo(kept []Kept) (cache string, env Env) {
	m.t.Helper()
	cache, env = m.t.TempDir(), m.env
	env.Go = m.path("no-go")
	for _, k := range kept {
		err := Put(m.t.Context(), cache, k.Name, func(dir string) error { return os.CopyFS(dir, os.DirFS(k.Dir)) })
		if err != nil {
			m.t.Fatal(err)
		}
	}
	if err := AddToolchain(m.t.Context(), cache, "go1.99.0"); err != nil {
		m.t.Fatal(err)
	}
	return cache, env
}

func TestAMachineWithoutGoFindsWhatWasKept(t *testing.T) {
	m := newMachine(t)
	made := t.TempDir()
	kept := m.keep(made)
	cache, env := m.withoutGo(kept)

	want, err := buildSuite(t.Context(), m.catalog(), m.suiteSpec(), m.env, m.options(made))
	if err != nil {
		t.Fatal(err)
	}
	got, err := buildSuite(t.Context(), m.catalog(), m.suiteSpec(), env, m.options(cache))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Parts, got.Parts); diff != "" || len(got.Parts) == 0 {
		t.Errorf("parts: %s", diff)
	}
	for _, p := range got.Parts {
		if digest, err := digestFile(filepath.Join(got.Dir, p.Name)); err != nil || digest != p.Digest {
			t.Errorf("%s: %s %v", p.Name, digest, err)
		}
	}

	all, err := ConformanceImages("")
	if err != nil {
		t.Fatal(err)
	}
	refs := []string{all[0].Ref, all[len(all)-1].Ref}
	fresh, err := buildArchive(t.Context(), m.catalog(), Spec{Arch: "amd64"}, refs, m.env, m.options(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	taken, err := buildArchive(t.Context(), m.catalog(), Spec{Arch: "amd64"}, refs, env, m.options(cache))
	if err != nil {
		t.Fatal(err)
	}
	if fresh.Digest() != taken.Digest() || len(taken.Images()) != len(refs) {
		t.Errorf("images %v with digest %s, not %s", taken.Images(), taken.Digest(), fresh.Digest())
	}
	if a, b := archiveText(t, fresh), archiveText(t, taken); !slices.Equal(a, b) {
		t.Errorf("the archives hold %q and %q", a, b)
	}
}

// archiveText is what an archive consists of, in any order.
func archiveText(t *testing.T, a *Archive) []string {
	t.Helper()
	var names []string
	for _, b := range a.layout.blobs {
		names = append(names, b.hex)
	}
	slices.Sort(names)
	var text strings.Builder
	if _, err := a.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestWhatWasNotKeptNeedsGo(t *testing.T) {
	m := newMachine(t)
	cache, env := m.withoutGo(nil)
	spec := m.suiteSpec()
	_, err := buildSuite(t.Context(), m.catalog(), spec, env, m.options(cache))
	if !isToolchainError(err) || !strings.Contains(strings.Join(failure.Hints(err), "\n"), "bundle") {
		t.Errorf("err = %v, hints %q", err, failure.Hints(err))
	}
	_, err = buildArchive(t.Context(), m.catalog(), Spec{Arch: "amd64"}, nil, env, m.options(cache))
	if !isToolchainError(err) {
		t.Errorf("err = %v", err)
	}
}

func TestFindAnImage(t *testing.T) {
	m := newMachine(t)
	here := m.resolve(m.spec()).Ref()
	newer := m.env
	newer.Toolchain = "go1.99.7"
	r, err := Resolve(t.Context(), m.spec(), newer)
	if err != nil {
		t.Fatal(err)
	}
	brought := r.Ref()
	if here == brought {
		t.Fatal("the version of Go is not in the name")
	}
	cache := t.TempDir()
	if err := AddToolchain(t.Context(), cache, "go1.99.7"); err != nil {
		t.Fatal(err)
	}
	without := m.env
	without.Go = m.path("no-go")
	for name, c := range map[string]struct {
		env   Env
		held  []string
		ref   string
		found bool
		fails bool
	}{
		"one's own":           {m.env, []string{here, brought}, here, true, false},
		"a brought one":       {m.env, []string{brought}, brought, true, false},
		"none":                {m.env, nil, here, false, false},
		"no Go":               {without, []string{brought}, brought, true, false},
		"no Go and no image":  {without, nil, "", false, true},
		"no Go, some other's": {without, []string{here}, "", false, true},
	} {
		r, found, err := find(context.Background(), m.spec(), c.env, cache, func(ref string) (bool, error) { return slices.Contains(c.held, ref), nil })
		if found != c.found || (err != nil) != c.fails {
			t.Errorf("%s: found %v, err %v", name, found, err)
		}
		if err == nil && r.Ref() != c.ref {
			t.Errorf("%s: %s, not %s", name, r.Ref(), c.ref)
		}
	}
}

func TestToolchainsAreListedOnce(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"go1.2.3", "go1.4.0", "go1.2.3"} {
		if err := AddToolchain(t.Context(), dir, v); err != nil {
			t.Fatal(err)
		}
	}
	c, err := openCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.toolchains()
	if diff := cmp.Diff([]string{"go1.2.3", "go1.4.0"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
