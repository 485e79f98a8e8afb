package nodeimage

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kluster-project/kluster/configs"
)

// The primary keys in testdata/signed, whose sums list "runc.amd64" and
// "kubelet", files that hold "runc" and "kubelet".
const (
	signer   = "BD2C43A7182DF103C2889FC712158CF7F5B0CD3C"
	stranger = "5A84F9FE011BE558763BCF9B33DD1516EDE7B88D"
	expired  = "382F9E7131138B8663302F9CEB55C6713F96F1E3"
)

// needGpgv: Debian's apt always comes with it.
func needGpgv(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("gpgv"); err != nil {
		t.Skip("no gpgv")
	}
}

func signed(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "signed", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sums is the server's /sums; key names the file of the signers' keys.
func sums(t *testing.T, signature, key, pinned string) *SumFile {
	t.Helper()
	return &SumFile{URL: "/sums", Signature: signature, Fingerprints: []string{pinned}, armored: []byte(signed(t, key+".key"))}
}

func TestSignedSums(t *testing.T) {
	needGpgv(t)
	const detached = "/detached.asc"
	inside, plain := signed(t, "signer.asc"), signed(t, "sums")
	evil := sumOf("evil") + "  evil\n"
	for name, c := range map[string]struct {
		sums, signature, key, pinned string
		content                      string // of the program
		says                         string // "" when it is good
	}{
		"clearsigned":            {inside, SignatureInside, "signer", signer, "runc", ""},
		"detached":               {plain, detached, "signer", signer, "runc", ""},
		"changed inside":         {strings.Replace(inside, "runc.amd64", "evil.amd64", 1), SignatureInside, "signer", signer, "runc", "BADSIG"},
		"changed, detached":      {evil + plain, detached, "signer", signer, "runc", "BADSIG"},
		"not signed":             {plain, SignatureInside, "signer", signer, "runc", "its signature"},
		"no signature there":     {plain, "/none.asc", "signer", signer, "runc", "404"},
		"another's signature":    {signed(t, "stranger.asc"), SignatureInside, "signer", signer, "runc", "ERRSIG"},
		"key that is not pinned": {signed(t, "stranger.asc"), SignatureInside, "stranger", signer, "runc", "not by a pinned key"},
		"key that ran out":       {signed(t, "expired.asc"), SignatureInside, "expired", expired, "runc", "EXPKEYSIG"},
		"text before":            {evil + inside, SignatureInside, "signer", signer, "evil", "no sha256 of evil in it"},
		"wrong content":          {inside, SignatureInside, "signer", signer, "evil", "its sha256 is"},
		"signature of no key":    {plain, "/sums", "signer", signer, "runc", "its signature"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFetching(t, map[string]string{"/runc.amd64": c.content, "/sums": c.sums, detached: signed(t, "detached.asc")})
			p := release("runc", "/runc.amd64", "", "")
			if name == "text before" {
				p.URL = "/evil" // only the unsigned line speaks for it
			}
			p.Sums = sums(t, c.signature, c.key, c.pinned)
			got, err := f.get(p)
			if c.says == "" {
				if err != nil || got != c.content {
					t.Errorf("got %q, %v", got, err)
				}
				return
			}
			f.nothingKept()
			var sum *ChecksumError
			var network *NetworkError
			if !errors.As(err, &sum) && !errors.As(err, &network) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %T: %v", err, err)
			}
		})
	}
}

// TestNoSums sees what is said when gpgv is not even asked.
func TestNoSums(t *testing.T) {
	for says, files := range map[string]map[string]string{
		"/sums: the server answered 404 Not Found": {"/runc.amd64": "runc"},
		"too long for a checksum file":             {"/runc.amd64": "runc", "/sums": strings.Repeat("x", textLimit+1)},
	} {
		f := newFetching(t, files)
		p := release("runc", "/runc.amd64", "", "")
		p.Sums = sums(t, SignatureInside, "signer", signer)
		if _, err := f.get(p); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
		f.nothingKept()
	}
}

func TestNoGpgv(t *testing.T) {
	f := newFetching(t, map[string]string{"/runc.amd64": "runc", "/sums": signed(t, "signer.asc")})
	for _, gpgv := range []string{"gpgv-that-is-not-there", "/nowhere/gpgv"} {
		p := release("runc", "/runc.amd64", "", "")
		p.Sums = sums(t, SignatureInside, "signer", signer)
		f.b.r.env.Gpgv = gpgv
		_, err := f.get(p)
		var host *HostError
		if !errors.As(err, &host) || !strings.Contains(err.Error(), "install the package gpgv") {
			t.Errorf("%s: got %v", gpgv, err)
		}
	}
}

func TestDearmor(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"no block":    {"hello", "no public key block"},
		"no end":      {armorBegin + "\n\nAAAA\n", "does not end"},
		"not base64":  {armorBegin + "\n\n!!\n" + armorEnd, "illegal base64"},
		"two, joined": {"a\n" + armorBegin + "\nComment: x\n\nAAAA\n=abcd\n" + armorEnd + "\nb\n" + armorBegin + "\n\nAAAA\n" + armorEnd, ""},
	} {
		got, err := dearmor(c.text)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: got %v", name, err)
			}
		} else if err != nil || len(got) != 6 {
			t.Errorf("%s: got %x, %v", name, got, err)
		}
	}
}

// TestPinnedKeysAreThere sees that each pinned key is in its file.
func TestPinnedKeysAreThere(t *testing.T) {
	c, err := LoadCatalog()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("no gpg")
	}
	for _, r := range c.Releases {
		if r.Keys == "" {
			continue
		}
		data, err := fs.ReadFile(configs.Keys(), r.Keys)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "gpg", "--homedir", t.TempDir(), "--batch", "--show-keys", "--with-colons")
		cmd.Stdin = strings.NewReader(string(data))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Fingerprints {
			if !strings.Contains(string(out), ":"+f+":") {
				t.Errorf("%s: no key %s in %s", r.Name, f, r.Keys)
			}
		}
	}
}
