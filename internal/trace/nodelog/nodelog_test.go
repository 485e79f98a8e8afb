package nodelog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kluster-project/kluster/internal/golden"
	"github.com/kluster-project/kluster/internal/trace"
	"github.com/kluster-project/kluster/internal/trace/nodelog"
)

// readers are all that reads what a node prints, by the file of its example.
var readers = map[string]func(node string, data []byte) []trace.Span{
	"boot.jsonl": nodelog.BootSteps, "units.txt": nodelog.Units, "system.txt": nodelog.System, "pods.json": nodelog.Sandboxes,
	"containers.json": nodelog.Containers, "journal.jsonl": nodelog.Journal, "logs.txt": nodelog.ContainerLogs,
}

// render is one line per span: start, milliseconds, kind, lane and name.
func render(spans []trace.Span) string {
	slices.SortStableFunc(spans, func(a, b trace.Span) int { return a.Start.Compare(b.Start) })
	kinds := map[trace.Kind]string{trace.Detail: "detail", trace.State: "state"}
	var b strings.Builder
	for _, s := range spans {
		fmt.Fprintf(&b, "%s %9.3fms %-6s %s: %s\n",
			s.Start.UTC().Format("15:04:05.000000"), float64(s.Duration())/float64(time.Millisecond), kinds[s.Kind], s.Lane, s.Name)
	}
	return b.String()
}

// What a real node printed, and what is made of it.
func TestReaders(t *testing.T) {
	for file, read := range readers {
		t.Run(file, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			spans := read("n", data)
			for _, s := range spans {
				if s.Track != "n" || s.End.Before(s.Start) || s.Name == "" || s.Lane == "" {
					t.Errorf("%+v", s)
				}
			}
			golden.Check(t, filepath.Join("testdata", file+".golden"), render(spans))
		})
	}
}

// What no reader knows gives nothing, and what is damaged the rest.
func TestDamagedInput(t *testing.T) {
	for file, read := range readers {
		for _, text := range []string{"", "\n\n", "{", "[1, 2]", "\x00\xff", "Id=x\nInactiveExitTimestamp=n/a\n"} {
			if spans := read("n", []byte(text)); len(spans) > 0 {
				t.Errorf("%s: %q gives %+v", file, text, spans)
			}
		}
	}
	half := `{"__REALTIME_TIMESTAMP":"1795250837452495","_SYSTEMD_UNIT":"kubelet.service","MESSAGE":"\"Kubelet version\""}` + "\n{\"__REALT"
	if n := len(nodelog.Journal("n", []byte(half))); n != 1 {
		t.Errorf("%d spans of a journal that was cut off", n)
	}
}

func TestMessageOfBytes(t *testing.T) {
	entry := `{"__REALTIME_TIMESTAMP":"1795250837452495","_SYSTEMD_UNIT":"kubelet.service","MESSAGE":[34,83,116,97,114,116,101,100,32,107,117,98,101,108,101,116,34]}`
	spans := nodelog.Journal("n", []byte(entry))
	if len(spans) != 1 || spans[0].Name != "has started" || spans[0].Start.UnixMicro() != 1795250837452495 {
		t.Errorf("%+v", spans)
	}
}

// A program's own time counts, unless it cannot be right.
func TestTimeOfALine(t *testing.T) {
	journal := time.Date(2026, 11, 21, 8, 0, 1, 0, time.UTC)
	for _, tc := range []struct {
		text string
		want time.Time
	}{
		{`I1121 08:00:00.250000     141 server.go:1285] "Started kubelet"`, journal.Add(-750 * time.Millisecond)},
		{`I1121 03:00:00.250000     141 server.go:1285] "Started kubelet"`, journal},
		{`"Started kubelet"`, journal},
	} {
		entry := fmt.Sprintf(`{"__REALTIME_TIMESTAMP":"%d","_SYSTEMD_UNIT":"kubelet.service","MESSAGE":%q}`, journal.UnixMicro(), tc.text)
		spans := nodelog.Journal("n", []byte(entry))
		if len(spans) != 1 || !spans[0].Start.Equal(tc.want) {
			t.Errorf("%s: %+v", tc.text, spans)
		}
	}
}

// Runtimes print metadata in two forms; a container is called by its name.
func TestStretches(t *testing.T) {
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	var journal strings.Builder
	for i, text := range []string{
		`RunPodSandbox for &PodSandboxMetadata{Name:etcd-a,Uid:1,Namespace:kube-system,Attempt:0,}`,
		`RunPodSandbox for &PodSandboxMetadata{Name:etcd-a,Uid:1,Namespace:kube-system,Attempt:0,} returns sandbox id "5b"`,
		`CreateContainer within sandbox "5b" for container name:"etcd" attempt:1`,
		`CreateContainer within sandbox "5b" for name:"etcd" attempt:1 returns container id "c0"`,
		`StartContainer for "c0"`,
		`StartContainer for "other" returns successfully`,
		`StartContainer for "c0" returns successfully`,
	} {
		fmt.Fprintf(&journal, "{\"__REALTIME_TIMESTAMP\":\"%d\",\"_SYSTEMD_UNIT\":\"containerd.service\",\"MESSAGE\":%q}\n",
			at.Add(time.Duration(i)*time.Millisecond).UnixMicro(), fmt.Sprintf("time=%q level=info msg=%q", at.Format(time.RFC3339), text))
	}
	got := map[string]time.Duration{}
	for _, s := range nodelog.Journal("n", []byte(journal.String())) {
		got[s.Name] = s.Duration()
	}
	if diff := cmp.Diff([]string{"making container etcd", "sandbox of etcd-a", "starting container etcd"}, slices.Sorted(keys(got))); diff != "" {
		t.Error(diff)
	}
}

func keys(m map[string]time.Duration) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestKubeadm(t *testing.T) {
	at := func(ms int) time.Time { return time.Date(2026, 1, 1, 0, 0, 0, ms*1e6, time.UTC) }
	got := render(nodelog.Kubeadm("n", []nodelog.Line{
		{At: at(0), Text: "[init] Using Kubernetes version: v1"},
		{At: at(1), Text: "[certs] one"},
		{At: at(2), Text: "[certs] two"},
		{At: at(3), Text: "\tindented"},
		{At: at(5), Text: "[wait] three"},
		{At: at(9), Text: "[wait] four"},
	}))
	want := `00:00:00.000000     1.000ms detail kubeadm: [init] Using Kubernetes version: v1
00:00:00.000000     1.000ms detail kubeadm: [init]
00:00:00.001000     1.000ms detail kubeadm: [certs] one
00:00:00.001000     4.000ms detail kubeadm: [certs]
00:00:00.002000     1.000ms detail kubeadm: [certs] two
00:00:00.003000     2.000ms detail kubeadm: 	indented
00:00:00.005000     4.000ms detail kubeadm: [wait] three
00:00:00.005000     4.000ms detail kubeadm: [wait]
00:00:00.009000     0.000ms detail kubeadm: [wait] four
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if spans := nodelog.Kubeadm("n", nil); len(spans) != 0 {
		t.Errorf("%+v", spans)
	}
}

// FuzzReaders: whatever a node prints, every span has a name and does not end
// before it starts, once recorded.
func FuzzReaders(f *testing.F) {
	for file := range readers {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for file, read := range readers {
			for _, s := range read("n", data) {
				if s.Track != "n" || s.Lane == "" && file != "journal.jsonl" && file != "logs.txt" || s.Start.IsZero() {
					t.Errorf("%s: %+v", file, s)
				}
			}
		}
	})
}
