package providertest

import (
	"archive/tar"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/kluster-project/kluster/provider"
)

func (s *suite) TestHost(t *testing.T) {
	host, err := s.p.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, missing := range map[string]bool{
		"Engine":        host.Engine == "",
		"EngineVersion": host.EngineVersion == "",
		"APIVersion":    host.APIVersion == "",
		"Endpoint":      host.Endpoint == "",
		"Local":         !host.Local,
		"Kernel":        host.Kernel == "",
		"Arch":          host.Arch != "amd64" && host.Arch != "arm64",
		"CPUs":          host.CPUs < 1,
		"Memory":        host.Memory < 1<<20,
		"CgroupVersion": host.CgroupVersion != 1 && host.CgroupVersion != 2,
		"StorageDriver": host.StorageDriver == "",
		"DataRoot":      host.DataRoot == "",
	} {
		if missing {
			t.Errorf("%s is not right in %+v", name, host)
		}
	}
}

func (s *suite) TestImages(t *testing.T) {
	ref := s.prefix + "other:2"
	layer, err := Layer(File{tar.Header{Name: "data/extra", Mode: 0o600, Typeflag: tar.TypeReg}, []byte(s.prefix)})
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(s.image, layer)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.p.Image(t.Context(), ref)
	wantIs(t, err, provider.ErrNotFound)

	var done, total int64
	if err := s.p.LoadImage(t.Context(), ref, img, func(d, all int64) { done, total = d, all }); err != nil {
		t.Fatal(err)
	}
	if done != total || total == 0 {
		t.Errorf("progress ended at %d of %d bytes", done, total)
	}
	held, err := s.p.Image(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Config.Labels, held.Labels, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if !slices.Contains(held.Refs, ref) {
		t.Errorf("references are %q, want %q among them", held.Refs, ref)
	}
	for name, value := range config.Config.Labels {
		testImageSelectors(t, s, ref, name, value)
	}
	for range 2 { // the second time there is nothing to remove
		if err := s.p.RemoveImage(t.Context(), ref); err != nil {
			t.Error(err)
		}
	}
	_, err = s.p.Image(t.Context(), ref)
	wantIs(t, err, provider.ErrNotFound)
}

func testImageSelectors(t *testing.T, s *suite, ref, name, value string) {
	t.Helper()
	for _, test := range []struct {
		sel  provider.Selector
		want bool
	}{
		{provider.Selector{name: value}, true},
		{provider.Selector{name: ""}, true},
		{provider.Selector{name: value + "x"}, false},
		{provider.Selector{name: value, name + "x": ""}, false},
	} {
		images, err := s.p.Images(t.Context(), test.sel)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(images, func(i provider.Image) bool { return slices.Contains(i.Refs, ref) })
		if got != test.want {
			t.Errorf("selector %v finds the image: %t, want %t", test.sel, got, test.want)
		}
	}
}

func (s *suite) TestNetworks(t *testing.T) {
	made, spec := s.network(t, "net")
	want := provider.Network{ID: made.ID, Name: spec.Name, Labels: spec.Labels, Subnets: spec.Subnets}
	if diff := cmp.Diff(want, made, cmpopts.IgnoreFields(provider.Network{}, "Gateways"), compareAddrs); diff != "" {
		t.Errorf("network (-want +got):\n%s", diff)
	}
	if len(made.Gateways) != 1 || !spec.Dynamic[0].Contains(made.Gateways[0]) {
		t.Errorf("gateways are %v, want one in %v", made.Gateways, spec.Dynamic)
	}
	for _, sel := range []provider.Selector{nil, s.selector(), {contractLabel: ""}} {
		list, err := s.p.Networks(t.Context(), sel)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(list, func(n provider.Network) bool { return n.ID == made.ID }) {
			t.Errorf("selector %v does not find the network", sel)
		}
	}
}

func (s *suite) TestNetworkClashes(t *testing.T) {
	_, spec := s.network(t, "net")
	other := spec
	other.Name += "-other"
	_, err := s.p.CreateNetwork(t.Context(), other)
	wantIs(t, err, provider.ErrSubnetTaken)

	_, second := s.network(t, "second")
	other = spec
	other.Name = second.Name
	_, err = s.p.CreateNetwork(t.Context(), other)
	if err == nil {
		t.Fatal("two networks have one name")
	}
}

// TestConnect puts a node on a further network, and takes it off again when that has gone.
func (s *suite) TestConnect(t *testing.T) {
	first, _ := s.network(t, "first")
	other := s.fresh(t, "Connect-other")
	second, _ := other.network(t, "second")
	spec := s.spec("a")
	spec.Network = first.Name
	id := s.create(t, spec).ID
	wantIs(t, s.p.Connect(t.Context(), id, s.prefix+"missing", nil), provider.ErrNotFound)
	wantIs(t, s.p.Connect(t.Context(), s.prefix+"missing", second.Name, nil), provider.ErrNotFound)
	for range 2 { // the second time it is on it
		if err := s.p.Connect(t.Context(), id, second.Name, []string{"a.example"}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{first.Name, second.Name}
	slices.Sort(want)
	if got := s.node(t, "a").Networks; !slices.Equal(got, want) {
		t.Errorf("networks are %q, want %q", got, want)
	}
	if err := s.p.Remove(t.Context(), other.selector()); err != nil {
		t.Fatal(err)
	}
	if err := s.p.StartNode(t.Context(), id); err == nil {
		t.Error("a node started on a network that has gone")
	}
	for range 2 {
		if err := s.p.Disconnect(t.Context(), id, second.Name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.p.StartNode(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := s.node(t, "a").Networks; !slices.Equal(got, []string{first.Name}) {
		t.Errorf("networks are %q, want %q alone", got, first.Name)
	}
}

// TestConnectRemade puts a stopped node on a network that has the name of one that has gone.
func (s *suite) TestConnectRemade(t *testing.T) {
	other := s.fresh(t, "ConnectRemade-other")
	id := s.create(t, s.spec("a")).ID
	before, _ := other.network(t, "net")
	if err := s.p.Connect(t.Context(), id, before.Name, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.p.StartNode(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := s.node(t, "a").NetworkIDs[before.Name]; got != before.ID {
		t.Errorf("it is on the network %q, want %q", got, before.ID)
	}
	if err := s.p.StopNode(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.p.Remove(t.Context(), other.selector()); err != nil {
		t.Fatal(err)
	}
	now, _ := other.network(t, "net")
	if got := s.node(t, "a").NetworkIDs[before.Name]; got != before.ID {
		t.Errorf("it is on the network %q, want %q, which has gone", got, before.ID)
	}
	if err := s.p.Connect(t.Context(), id, now.Name, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.p.StartNode(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := s.node(t, "a").NetworkIDs[now.Name]; got != now.ID {
		t.Errorf("it is on the network %q, want %q", got, now.ID)
	}
}

// compareAddrs compares addresses by their values.
var compareAddrs = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
