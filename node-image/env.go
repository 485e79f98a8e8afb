package nodeimage

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"os"

	"github.com/kluster-project/kluster/configs"
)

// Env is what Resolve and Build use of the machine. Its zero value is the
// machine as it is.
type Env struct {
	Go string // the go command
	// Toolchain is the version of Go ("go1.26.8") that recipes name; "" for the go
	// command's own. With another one nothing can be built, but what a bundle brought
	// is found (see AddToolchain).
	Toolchain  string
	Mmdebstrap string // the mmdebstrap command
	Keyring    string // file with the keys of Debian's archive
	Gpgv       string // the gpgv command
	HTTP       *http.Client
	Keys       fs.FS // keys of upstreams' signatures
	// Sources lists the machine's configured package sources.
	Sources func() ([]aptSource, error)
}

func (e Env) withDefaults() Env {
	if e.Go == "" {
		e.Go = "go"
	}
	if e.Mmdebstrap == "" {
		e.Mmdebstrap = "mmdebstrap"
	}
	if e.Keyring == "" {
		e.Keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	}
	if e.Gpgv == "" {
		e.Gpgv = "gpgv"
	}
	if e.Keys == nil {
		e.Keys = configs.Keys()
	}
	if e.HTTP == nil {
		e.HTTP = http.DefaultClient
	}
	return e
}

// goEnv is the environment of every go command: the machine's own, less what
// would change the result.
func goEnv(more ...string) []string {
	env := append(os.Environ(), "GOTOOLCHAIN=local", "GOWORK=off", "GOFLAGS=", "GOEXPERIMENT=", "GO111MODULE=on", "LC_ALL=C")
	return append(env, more...)
}

func digestFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
