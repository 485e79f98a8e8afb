package boot

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// systemCertificates is where Debian's program puts what it took from
// nodespec.AuthoritiesDir.
const systemCertificates = "/etc/ssl/certs"

// hasNewAuthorities says whether there are certificates of authorities that the node's
// programs do not trust yet.
func (m *Machine) hasNewAuthorities() bool {
	found, err := filepath.Glob(m.path(nodespec.AuthoritiesDir + "/*.crt"))
	if err != nil {
		return false
	}
	for _, file := range found {
		name := strings.TrimSuffix(filepath.Base(file), ".crt") + ".pem"
		if !m.exists(filepath.Join(systemCertificates, name)) {
			return true
		}
	}
	return false
}

// trustAuthorities takes a second or two, and so is only done when it is needed.
func trustAuthorities(ctx context.Context, m *Machine) error {
	_, err := m.Kernel.Output(ctx, "", "update-ca-certificates")
	return err
}
