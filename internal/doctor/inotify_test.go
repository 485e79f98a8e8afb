package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hostRoot is a root folder with these inotify limits; "" leaves a file out.
func hostRoot(t *testing.T, instances, watches string) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, inotifyDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"max_user_instances": instances, "max_user_watches": watches} {
		if value == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func limits(t *testing.T, root string) string {
	t.Helper()
	var values []string
	for _, l := range []limit{instances, watches} {
		b, err := os.ReadFile(filepath.Join(root, inotifyDir, l.name))
		if err != nil {
			b = []byte("none")
		}
		values = append(values, strings.TrimSpace(string(b)))
	}
	return strings.Join(values, " ")
}

func TestRaiseInotify(t *testing.T) {
	tests := map[string]struct {
		instances, watches string
		wantLimits, want   string
	}{
		"low": {
			"128", "8192", "8192 524288",
			"raised the host's fs.inotify.max_user_instances from 128 to 8192, until it restarts\n" +
				"raised the host's fs.inotify.max_user_watches from 8192 to 524288, until it restarts\n",
		},
		"one low":        {"128", "192536", "8192 192536", "raised the host's fs.inotify.max_user_instances from 128 to 8192, until it restarts\n"},
		"high":           {"512", "1000000", "512 1000000", ""},
		"no such limits": {"", "", "none none", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := hostRoot(t, test.instances, test.watches)
			var out strings.Builder
			if err := raiseInotify(&out, root); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			if got := limits(t, root); got != test.wantLimits {
				t.Errorf("limits = %s, want %s", got, test.wantLimits)
			}
		})
	}
}

func TestRaiseInotifyUnreadable(t *testing.T) {
	if err := raiseInotify(&strings.Builder{}, hostRoot(t, "many", "8192")); err == nil {
		t.Error("a limit that is no number was taken")
	}
}

func TestRaiseInotifyNotAllowed(t *testing.T) {
	root := hostRoot(t, "128", "524288")
	low := limit{"sub", 512, 8192}
	if err := os.WriteFile(filepath.Join(root, inotifyDir, "sub"), []byte("128"), 0o444); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		t.Skip("root may write everything")
	}
	var out strings.Builder
	if err := low.raise(&out, root); err != nil {
		t.Fatal(err)
	}
	if want := "fs.inotify.sub is 128, which is low; raise it: sysctl -w fs.inotify.sub=8192\n"; out.String() != want {
		t.Errorf("output = %q, want %q", out.String(), want)
	}
}
