package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// update writes docs/cli anew instead of comparing: make docs.
var update = flag.Bool("update", false, "write docs/cli")

const docsDir = "../../docs/cli"

// TestDocs sees that docs/cli is what the commands' own help says.
func TestDocs(t *testing.T) {
	pages := map[string]string{}
	eachCommand(newRootCmd(quietApp()), func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		cmd.InitDefaultHelpFlag()
		pages[pageName(cmd)] = page(cmd)
	})
	if *update {
		writePages(t, pages)
	}
	if diff := cmp.Diff(pages, readPages(t)); diff != "" {
		t.Errorf("docs/cli is not what the help says; run: make docs (-want +got):\n%s", diff)
	}
}

func pageName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "_") + ".md"
}

// page is a command's help in Markdown.
func page(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", cmd.CommandPath(), cmd.Short)
	if cmd.Long != "" {
		fmt.Fprintf(&b, "\n%s\n", cmd.Long)
	}
	if cmd.Runnable() && cmd.HasParent() {
		block(&b, "Usage", cmd.UseLine())
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "\nAlso called: %s\n", strings.Join(cmd.Aliases, ", "))
	}
	block(&b, "Examples", cmd.Example)
	block(&b, "Flags", cmd.NonInheritedFlags().FlagUsages())
	block(&b, "Flags of every command", cmd.InheritedFlags().FlagUsages())
	links(&b, cmd)
	return b.String()
}

func block(b *strings.Builder, title, text string) {
	if text != "" {
		fmt.Fprintf(b, "\n## %s\n\n```\n%s\n```\n", title, strings.TrimRight(text, "\n"))
	}
}

// links lead to the commands above and below.
func links(b *strings.Builder, cmd *cobra.Command) {
	var near []*cobra.Command
	if cmd.HasParent() {
		near = append(near, cmd.Parent())
	}
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() && child.Name() != "completion" {
			near = append(near, child)
		}
	}
	b.WriteString("\n## See also\n\n")
	for _, c := range near {
		fmt.Fprintf(b, "* [%s](%s): %s\n", c.CommandPath(), pageName(c), c.Short)
	}
}

func readPages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(docsDir + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(file)] = string(data)
	}
	return pages
}

func writePages(t *testing.T, pages map[string]string) {
	t.Helper()
	if err := os.RemoveAll(docsDir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(docsDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(docsDir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
