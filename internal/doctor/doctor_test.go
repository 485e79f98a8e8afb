package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/doctor"
	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/provider"
)

// engine is a provider that can only be asked about itself.
type engine struct {
	provider.Provider
	host provider.Host
	err  error
}

func (e engine) Host(context.Context) (provider.Host, error) { return e.host, e.err }

func (e engine) Networks(context.Context, provider.Selector) ([]provider.Network, error) {
	return []provider.Network{{Name: "bridge", Subnets: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")}}}, nil
}

// goodHost is an engine with nothing to complain about.
func goodHost() provider.Host {
	return provider.Host{
		Engine: "Docker Engine 28.0.1", APIVersion: "1.48", Local: true, Endpoint: "unix:///run/docker.sock",
		CPUs: 4, Memory: 16 << 30, CgroupVersion: 2, StorageDriver: "overlay2", DataRoot: "/data", DataFree: 100 << 30,
	}
}

// machine is what a test changes about a good machine.
type machine struct {
	engine   engine
	connect  error
	programs map[string]string
	goVer    string
	files    fstest.MapFS
	free     []netip.Prefix
	freeErr  error
}

func goodMachine() *machine {
	return &machine{
		engine:   engine{host: goodHost()},
		programs: map[string]string{"go": "/usr/bin/go", "mmdebstrap": "/usr/bin/mmdebstrap"},
		goVer:    "go1.26.8\n",
		files: fstest.MapFS{
			"proc/sys/fs/inotify/max_user_instances": {Data: []byte("8192\n")},
			"proc/sys/fs/inotify/max_user_watches":   {Data: []byte("524288\n")},
		},
		free: []netip.Prefix{netip.MustParsePrefix("172.28.0.0/24")},
	}
}

func (m *machine) host() doctor.Host {
	return doctor.Host{
		Connect: func(context.Context) (provider.Provider, error) { return m.engine, m.connect },
		Root:    m.files,
		LookPath: func(name string) (string, error) {
			if path, ok := m.programs[name]; ok {
				return path, nil
			}
			return "", exec.ErrNotFound
		},
		Command:     func(context.Context, string, ...string) (string, error) { return m.goVer, nil },
		FreeSubnets: func([]netip.Prefix) ([]netip.Prefix, error) { return m.free, m.freeErr },
	}
}

// bad renders what is not OK as "level name: value".
func bad(checks []doctor.Check) []string {
	var lines []string
	for _, c := range checks {
		if c.Level != doctor.OK {
			lines = append(lines, fmt.Sprintf("%s %s: %s", c.Level, c.Name, c.Value))
		}
	}
	return lines
}

func TestExamine(t *testing.T) {
	tests := map[string]struct {
		change func(m *machine)
		want   []string
		unfit  bool
	}{
		"a good machine": {change: func(*machine) {}},
		"no engine": {
			change: func(m *machine) { m.connect = errors.New("cannot connect\nto it") },
			want: []string{
				"fail engine: cannot connect", "warn engine location: not known", "warn capabilities: not known",
				"warn cgroups: not known", "warn storage driver: not known", "warn disk: not known",
				"warn memory: not known", "warn cpus: not known", "warn subnets: not known",
			},
			unfit: true,
		},
		"an engine elsewhere": {
			change: func(m *machine) { m.engine.host.Local, m.engine.host.Endpoint = false, "ssh://box" },
			want:   []string{"fail engine location: another machine: ssh://box"}, unfit: true,
		},
		"a rootless engine":    {change: func(m *machine) { m.engine.host.Rootless = true }, want: []string{"warn engine location: this machine, rootless: unix:///run/docker.sock"}},
		"a missing capability": {change: func(m *machine) { m.engine.host.MissingCaps = []string{"CAP_SYS_RESOURCE"} }},
		"no cgroups":           {change: func(m *machine) { m.engine.host.CgroupVersion = 0 }, want: []string{"fail cgroups: version 0"}, unfit: true},
		"vfs":                  {change: func(m *machine) { m.engine.host.StorageDriver = "vfs" }, want: []string{"warn storage driver: vfs"}},
		"little disk":          {change: func(m *machine) { m.engine.host.DataFree = 10 << 30 }, want: []string{"warn disk: 10.0 GiB free below /data"}},
		"no disk":              {change: func(m *machine) { m.engine.host.DataFree = 1 << 30 }, want: []string{"fail disk: 1.0 GiB free below /data"}, unfit: true},
		"unknown disk":         {change: func(m *machine) { m.engine.host.DataFree = 0 }, want: []string{"warn disk: free space below /data is not known"}},
		"little memory":        {change: func(m *machine) { m.engine.host.Memory = 3 << 30 }, want: []string{"warn memory: 3.0 GiB"}},
		"one cpu":              {change: func(m *machine) { m.engine.host.CPUs = 1 }, want: []string{"warn cpus: 1"}},
		"few inotify instances": {
			change: func(m *machine) { m.files["proc/sys/fs/inotify/max_user_instances"].Data = []byte("128\n") },
			want:   []string{"warn inotify instances: 128"},
		},
		"no inotify": {
			change: func(m *machine) { delete(m.files, "proc/sys/fs/inotify/max_user_watches") },
			want:   []string{"warn inotify watches: reading fs.inotify.max_user_watches: open proc/sys/fs/inotify/max_user_watches: file does not exist"},
		},
		"no subnet":        {change: func(m *machine) { m.free = nil }, want: []string{"fail subnets: none is free"}, unfit: true},
		"no routes":        {change: func(m *machine) { m.freeErr = errors.New("no netlink") }, want: []string{"fail subnets: no netlink"}, unfit: true},
		"no programs":      {change: func(m *machine) { m.programs = nil }, want: []string{"warn go toolchain: not found", "warn mmdebstrap: not found"}},
		"an old go":        {change: func(m *machine) { m.goVer = "go1.24.3" }, want: []string{"warn go toolchain: 1.24.3"}},
		"an unreadable go": {change: func(m *machine) { m.goVer = "devel go1.27-abc" }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := goodMachine()
			test.change(m)
			checks, err := doctor.Examine(t.Context(), m.host())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, bad(checks)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if got := doctor.Fit(checks); got == test.unfit {
				t.Errorf("Fit = %v", got)
			}
			for _, c := range checks {
				if (c.Level == doctor.OK) != (c.Advice == "") {
					t.Errorf("%s is %s with advice %q", c.Name, c.Level, c.Advice)
				}
			}
		})
	}
}

// The engine's own remedies reach the user, and without any there is advice too.
func TestAdvice(t *testing.T) {
	for name, test := range map[string]struct {
		change      func(m *machine)
		check, want string
	}{
		"hint of the engine": {
			func(m *machine) { m.connect = failure.New("cannot connect", failure.Hint("turn it on")) }, "engine", "turn it on",
		},
		"no hint":            {func(m *machine) { m.connect = errors.New("cannot connect") }, "engine", "install and start a container engine"},
		"command for disk":   {func(m *machine) { m.engine.host.DataFree = 1 << 30 }, "disk", "make room there (tidy all), or use a larger disk (less than 5.0 GiB)"},
		"command for subnet": {func(m *machine) { m.free = nil }, "subnets", "remove networks that nobody needs (tidy networks)"},
		"no command":         {func(m *machine) { m.free, m.engine.host.PruneNetworks = nil, "" }, "subnets", "remove networks that nobody needs"},
	} {
		t.Run(name, func(t *testing.T) {
			m := goodMachine()
			m.engine.host.Prune, m.engine.host.PruneNetworks = "tidy all", "tidy networks"
			test.change(m)
			checks, err := doctor.Examine(t.Context(), m.host())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(checks, func(c doctor.Check) bool { return c.Name == test.check })
			if checks[i].Advice != test.want {
				t.Errorf("advice %q, want %q", checks[i].Advice, test.want)
			}
		})
	}
}

func TestExamineHonoursContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := doctor.Examine(ctx, goodMachine().host()); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("err = %v, want the context's cause", err)
	}
}
