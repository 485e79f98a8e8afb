package docker

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestSecurityPage: docs/security.md says of capabilities and of all else that a node
// gets what is in the tables here.
func TestSecurityPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range map[string]string{"capabilities": capabilityTable(), "grants": grantTable()} {
		if !strings.Contains(string(page), "\n\n"+table+"\n") {
			t.Errorf("docs/security.md has another table of %s than the code, which is:\n%s", name, table)
		}
	}
}

func capabilityTable() string {
	var b strings.Builder
	b.WriteString("| capability | a node has it | why, or what it would reach |\n|---|---|---|\n")
	for _, c := range capabilities {
		has := "yes"
		if c.withheld {
			has = "**no**"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.name, has, c.why)
	}
	return b.String()
}

func grantTable() string {
	var b strings.Builder
	b.WriteString("| what | | why |\n|---|---|---|\n")
	for _, group := range []struct {
		kind   string
		grants []grant
	}{
		{"security option", securityOptions},
		{"device rule", deviceRules},
		{"device", devices},
		{"folder of the host, read-only", hostFolders},
		{"folder in memory", memoryFolders},
	} {
		for _, g := range group.grants {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", g.what, group.kind, g.why)
		}
	}
	for _, s := range sysctlsOfIPv6 {
		fmt.Fprintf(&b, "| `%s=%s` | setting, with IPv6 | %s |\n", s.name, s.value, s.why)
	}
	return b.String()
}

// TestCapabilities: the table is the kernel's, and says why.
func TestCapabilities(t *testing.T) {
	for number, name := range map[int]string{0: "CHOWN", 12: "NET_ADMIN", 21: "SYS_ADMIN", 24: "SYS_RESOURCE", 37: "AUDIT_READ", 40: "CHECKPOINT_RESTORE"} {
		if capabilities[number].name != name {
			t.Errorf("number %d is %s, not %s", number, capabilities[number].name, name)
		}
	}
	for _, c := range capabilities {
		if c.why == "" {
			t.Errorf("nobody says why nodes have %s", c.name)
		}
	}
}
