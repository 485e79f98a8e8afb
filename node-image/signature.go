package nodeimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// SumFile is a signed file of upstream's that holds the sha256 of its releases.
type SumFile struct {
	URL          string
	Signature    string   // SignatureInside, or the URL of a detached OpenPGP signature
	Keys         string   // digest of the file with the signers' public keys
	Fingerprints []string // of the signers' primary keys

	armored []byte
}

// SignatureInside is the Signature of a SumFile that holds its own.
const SignatureInside = "clearsigned"

// trust is what the manifest says of a file that was compared with s.
func (s *SumFile) trust() string {
	return "sha256 signed by " + strings.Join(s.Fingerprints, " or ")
}

// verified is the text of s that its signature covers; data is the file.
func (b *builder) verified(ctx context.Context, s *SumFile, data []byte) ([]byte, error) {
	dir, err := os.MkdirTemp(filepath.Join(b.cache.dir, "tmp"), "gpgv-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	keys, err := dearmor(string(s.armored))
	if err != nil {
		return nil, fmt.Errorf("reading the keys for %s: %w", s.URL, err)
	}
	files := map[string][]byte{"keys": keys, "signed": data}
	args := []string{"--output", "text", "signed"}
	if s.Signature != SignatureInside {
		if files["signature"], err = b.fetchText(ctx, s.Signature); err != nil {
			return nil, err
		}
		args = []string{"signature", "signed"}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return nil, err
		}
	}
	if err := b.gpgv(ctx, dir, s, args); err != nil {
		return nil, err
	}
	if s.Signature != SignatureInside {
		return data, nil
	}
	// Not data: what stands around the signed part is not signed.
	return os.ReadFile(filepath.Join(dir, "text"))
}

// gpgv checks a signature in dir with the keys there. It must be good, not
// just correct (of a key that ran out, say), and be of a pinned key.
func (b *builder) gpgv(ctx context.Context, dir string, s *SumFile, args []string) error {
	var status bytes.Buffer
	var said tail
	cmd := exec.CommandContext(ctx, b.r.env.Gpgv, append([]string{"--homedir", dir, "--keyring", filepath.Join(dir, "keys"), "--status-fd", "1"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &status, &said
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) || (err != nil && cmd.Process == nil) {
		return &HostError{Reason: "gpgv, which checks signatures of releases, is not installed", Remedy: "install the package gpgv"}
	}
	reason := checkStatus(status.String(), s.Fingerprints)
	if reason == nil && err != nil {
		reason = fmt.Errorf("was not accepted: %w: %s", err, said.String())
	}
	if reason != nil {
		return &ChecksumError{What: s.URL, Err: fmt.Errorf("its signature %w", reason)}
	}
	return nil
}

// refusals are gpgv's words for signatures that are not good, with what people
// are told.
var refusals = map[string]string{
	"BADSIG":     "does not match",
	"ERRSIG":     "cannot be checked, perhaps it is of a key that is not known",
	"EXPSIG":     "has run out",
	"EXPKEYSIG":  "is of a key that has run out",
	"REVKEYSIG":  "is of a key that was revoked",
	"NODATA":     "is missing or broken",
	"UNEXPECTED": "is missing or broken",
}

// checkStatus reads gpgv's status lines: every signature must be good, and one
// of a primary key in pinned.
func checkStatus(status string, pinned []string) error {
	var signers []string
	for _, line := range strings.Split(status, "\n") {
		f := strings.Fields(strings.TrimPrefix(line, "[GNUPG:] "))
		if len(f) == 0 {
			continue
		}
		if why, bad := refusals[f[0]]; bad {
			return fmt.Errorf("%s (%s)", why, strings.Join(f, " "))
		}
		if f[0] == "VALIDSIG" {
			signers = append(signers, f[len(f)-1])
		}
	}
	if !slices.ContainsFunc(signers, func(s string) bool { return slices.Contains(pinned, s) }) {
		return fmt.Errorf("is by %q, not by a pinned key", signers)
	}
	return nil
}
