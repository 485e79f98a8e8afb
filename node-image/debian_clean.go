package nodeimage

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// dropped are paths of a fresh root file system that no node needs, or that
// say where it was made (the archive's address, proxies).
var dropped = regexp.MustCompile(`^(dev/.+|etc/apt/sources\.list|etc/apt/apt\.conf\.d/99mmdebstrap|etc/dpkg/dpkg\.cfg\.d/99mmdebstrap|` +
	`var/lib/apt/.+|var/cache/(apt|debconf|ldconfig)/.+|var/log/.+|etc/hostname|etc/resolv\.conf|etc/fstab|usr/share/doc/.+|run/.+|tmp/.+|var/lib/dpkg/.*-old)$`)

// cleanRoot turns mmdebstrap's archive into a layer in dir, and records the
// packages in dir/packages.json.
func cleanRoot(ctx context.Context, raw, dir string) error {
	in, err := os.Open(raw)
	if err != nil {
		return err
	}
	defer in.Close()
	var packages []nodespec.PackageRecord
	err = writeLayer(dir, func(w *layerWriter) error {
		tr := tar.NewReader(bufio.NewReaderSize(in, 1<<20))
		for {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			found, err := copyCleaned(w, h, tr)
			if err != nil {
				return err
			}
			if h.Name == "./"+dpkgStatus && len(found) > 0 {
				packages = found // knows better than single files
			} else {
				packages = append(packages, found...)
			}
		}
	})
	if err != nil {
		return err
	}
	if len(packages) == 0 {
		return fmt.Errorf("%s does not say which packages are in it", filepath.Base(raw))
	}
	data, err := json.Marshal(packages)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "packages.json"), data, 0o644)
}

// copyCleaned copies one entry, or leaves it out, and gives the packages that
// its content tells of.
func copyCleaned(w *layerWriter, h *tar.Header, r io.Reader) ([]nodespec.PackageRecord, error) {
	name := strings.Trim(strings.TrimPrefix(h.Name, "./"), "/")
	if name == "" || name == "." {
		return nil, nil
	}
	if h.Typeflag == tar.TypeLink {
		h.Linkname = strings.TrimPrefix(h.Linkname, "./")
	}
	var found []nodespec.PackageRecord
	if name == dpkgStatus || extractedLog.MatchString(name) {
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		if found, err = readPackages(name, data); err != nil {
			return nil, err
		}
		r = bytes.NewReader(data)
	}
	if dropped.MatchString(name) {
		return found, nil
	}
	if name == "etc/machine-id" { // made anew in each node
		h.Size, r = 0, bytes.NewReader(nil)
	}
	return found, w.entry(h, name, r)
}

const dpkgStatus = "var/lib/dpkg/status"

// extractedLog is the change log that every Debian package carries; it names
// the version where packages are only extracted, not installed.
var extractedLog = regexp.MustCompile(`^usr/share/doc/([^/]+)/changelog\.Debian\.gz$`)

func readPackages(name string, data []byte) ([]nodespec.PackageRecord, error) {
	if name == dpkgStatus {
		return parseStatus(string(data)), nil
	}
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(zr).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f := strings.Fields(line)
	if len(f) < 2 {
		return nil, nil
	}
	return []nodespec.PackageRecord{{Name: extractedLog.FindStringSubmatch(name)[1], Version: strings.Trim(f[1], "()")}}, nil
}

// parseStatus lists the installed packages of dpkg's status file.
func parseStatus(text string) []nodespec.PackageRecord {
	var out []nodespec.PackageRecord
	for _, stanza := range strings.Split(text, "\n\n") {
		var p nodespec.PackageRecord
		installed := false
		for _, line := range strings.Split(stanza, "\n") {
			switch key, value, _ := strings.Cut(line, ": "); key {
			case "Package":
				p.Name = value
			case "Version":
				p.Version = value
			case "Status":
				installed = strings.HasSuffix(value, " installed")
			}
		}
		if installed && p.Name != "" {
			out = append(out, p)
		}
	}
	return out
}
