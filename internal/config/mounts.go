package config

import (
	"path"
	"path/filepath"
	"slices"

	"github.com/kluster-project/kluster/configs/v1alpha1"
)

var propagations = []string{"None", "HostToContainer", "Bidirectional"}

func mounts(w *wish, specs []v1alpha1.Mount, field string, o Options, p *problems) []Mount {
	var out []Mount
	for i, m := range specs {
		at := item(field, i)
		if m.Propagation != "" && !slices.Contains(propagations, m.Propagation) {
			p.add(at+".propagation", nearestOrAll(m.Propagation, propagations), "no propagation %q", shorten(m.Propagation))
		}
		target := containerPath(m.ContainerPath, at+".containerPath", p)
		if slices.ContainsFunc(out, func(o Mount) bool { return o.ContainerPath == target }) {
			p.add(at+".containerPath", "", "%s is mounted already", shorten(target))
		}
		out = append(out, Mount{
			HostPath: hostPath(w, m.HostPath, at+".hostPath", o, p), ContainerPath: target,
			ReadOnly: m.ReadOnly, SELinuxRelabel: m.SELinuxRelabel, Propagation: m.Propagation,
		})
	}
	return out
}

func containerPath(written, field string, p *problems) string {
	clean := path.Clean(written)
	switch {
	case written == "":
		p.add(field, "", "is required")
	case !path.IsAbs(written) || clean == "/":
		p.add(field, "", "must be an absolute path below /, not %q", shorten(written))
	}
	return clean
}

// hostPath is absolute and exists, but in a kind file it may be relative to
// the working directory, and the engine makes it when it is missing.
func hostPath(w *wish, written, field string, o Options, p *problems) string {
	switch {
	case written == "":
		p.add(field, "", "is required")
		return ""
	case filepath.IsAbs(written):
		if !w.kind && o.PathExists != nil && !o.PathExists(written) {
			p.add(field, "make it first", "%s does not exist", shorten(written))
		}
		return filepath.Clean(written)
	case !w.kind:
		p.add(field, "", "must be an absolute path, not %q", shorten(written))
		return ""
	}
	absolute, err := filepath.Abs(filepath.Join(o.WorkDir, written))
	if err != nil {
		p.add(field, "use an absolute path", "%v", err)
	}
	return absolute
}
