package nodeimage

import (
	"io/fs"
	"regexp"
	"strings"

	"github.com/kluster-project/kluster/configs"
)

var fingerprintForm = regexp.MustCompile(`^[0-9A-F]{40}$`)

// check sees that something vouches for what is published: a sha256 or a
// signature.
func (r *Release) check(p *problems) {
	if r.URL == "" || (r.Checksums == "" && len(r.SHA256) == 0) {
		p.add("release %s: needs a url, and checksums or sha256", r.Name)
	}
	for key, sum := range r.SHA256 {
		if !sumForm.MatchString(sum) {
			p.add("release %s: sha256 of %s: %q is none", r.Name, key, sum)
		}
	}
	if r.Checksums == "" {
		return
	}
	if r.Signature != SignatureInside && !strings.Contains(r.Signature, "://") {
		p.add("release %s: signature must be %q, or the URL of a detached one", r.Name, SignatureInside)
	}
	r.checkKeys(p)
}

func (r *Release) checkKeys(p *problems) {
	if len(r.Fingerprints) == 0 {
		p.add("release %s: a signature needs fingerprints", r.Name)
	}
	for _, f := range r.Fingerprints {
		if !fingerprintForm.MatchString(f) {
			p.add("release %s: %q is not a fingerprint of 40 upper-case hexadecimal digits", r.Name, f)
		}
	}
	data, err := fs.ReadFile(configs.Keys(), r.Keys)
	if err == nil {
		_, err = dearmor(string(data))
	}
	if err != nil {
		p.add("release %s: keys: %w", r.Name, err)
	}
}
