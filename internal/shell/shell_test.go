package shell_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/internal/shell"
)

// TestAShellReadsTheWords asks a shell.
func TestAShellReadsTheWords(t *testing.T) {
	words := []string{"plain", "--flag=value", "", "two words", "it's", `\[sig-node\] Pods $`, "a\nb", "*", "ö"}
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", `printf '%s\0' `+shell.Join(words)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, words) {
		t.Errorf("%q", got)
	}
	if got := shell.Join(words[:2]); got != "plain --flag=value" {
		t.Errorf("%q", got)
	}
}
