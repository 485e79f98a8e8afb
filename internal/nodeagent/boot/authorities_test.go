package boot

import (
	"slices"
	"testing"
)

func TestAuthoritiesAreTrustedOnce(t *testing.T) {
	m, kernel := newMachine(t, dockerV1)
	updates := func() int {
		kernel.calls = nil
		if err := Run(t.Context(), m, Steps); err != nil {
			t.Fatal(err)
		}
		return len(slices.DeleteFunc(kernel.calls, func(c string) bool { return c != "update-ca-certificates" }))
	}
	if n := updates(); n != 0 {
		t.Errorf("without any: %d", n)
	}
	put(t, m.Root, "/usr/local/share/ca-certificates/kluster-1.crt", "A")
	if n := updates(); n != 1 {
		t.Errorf("with one: %d", n)
	}
	put(t, m.Root, "/etc/ssl/certs/kluster-1.pem", "A")
	if n := updates(); n != 0 {
		t.Errorf("at the next start: %d", n)
	}
}
