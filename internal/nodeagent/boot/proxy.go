package boot

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// proxyFile holds credentials where the proxy has some: only root reads it.
const proxyFile = "/etc/systemd/system.conf.d/proxy.conf"

var proxyVariables = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"}

// passProxy makes the container's proxy variables the default environment of
// every systemd service, in both cases of spelling.
func passProxy(_ context.Context, m *Machine) error {
	text := proxyConfig(m.Getenv)
	if text == "" {
		if err := os.Remove(m.path(proxyFile)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("removing an old proxy configuration: %w", err)
		}
		return nil
	}
	return m.write(proxyFile, text, 0o600)
}

// proxyConfig is "" without a proxy. A variable given in one case alone is
// passed in both: programs differ in which they read.
func proxyConfig(getenv func(string) string) string {
	var words []string
	for _, upper := range proxyVariables {
		lower := strings.ToLower(upper)
		value := getenv(upper)
		if value == "" {
			value = getenv(lower)
		}
		if value != "" {
			words = append(words, systemdQuote(upper+"="+value), systemdQuote(lower+"="+value))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "[Manager]\nDefaultEnvironment=" + strings.Join(words, " ") + "\n"
}

// systemdQuote quotes a word for a systemd configuration file, in which "%"
// begins a specifier.
func systemdQuote(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, "\n", `\n`).Replace(word) + `"`
}
