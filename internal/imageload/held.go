package imageload

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
)

// Held is what a node has of images.
type Held struct {
	// Chains are the chain IDs of its layers: it needs no file of a layer that it has
	// together with all below it.
	Chains map[string]bool
	// Blobs are the digests of layers that it can use over whatever others.
	Blobs map[string]bool
	// Names are the images' IDs by whole name.
	Names map[string]string
	// Free is how many bytes of disk are free, -1 if that is not known.
	Free int64
}

// imagesLine begins the last part of what ParseHeld reads.
const imagesLine = "images"

// ParseHeld reads what a node says it has: lines "chain DIGEST", "blob DIGEST" and
// "free BYTES", then a line "images", then crictl's list of images as JSON. Other
// lines are left out.
func ParseHeld(text string) (Held, error) {
	h := Held{Chains: map[string]bool{}, Blobs: map[string]bool{}, Names: map[string]string{}, Free: -1}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	read := 0
	for lines.Scan() {
		read += len(lines.Bytes()) + 1
		key, value, _ := strings.Cut(lines.Text(), " ")
		switch {
		case key == imagesLine:
			return h, h.parseNames(text[min(read, len(text)):])
		case key == "chain" && digest.Digest(value).Validate() == nil:
			h.Chains[value] = true
		case key == "blob" && digest.Digest(value).Validate() == nil:
			h.Blobs[value] = true
		case key == "free":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
				h.Free = n
			}
		}
	}
	return h, fmt.Errorf("the node's list of images ends early: %q", tail(text))
}

func tail(text string) string { return text[max(0, len(text)-200):] }

func (h *Held) parseNames(text string) error {
	var list struct {
		Images []struct {
			ID       string   `json:"id"`
			RepoTags []string `json:"repoTags"`
		} `json:"images"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return fmt.Errorf("reading the node's list of images: %w", err)
	}
	for _, img := range list.Images {
		id := img.ID
		if !strings.Contains(id, ":") {
			id = "sha256:" + id
		}
		for _, tag := range img.RepoTags {
			if whole, err := WholeName(tag); err == nil {
				h.Names[whole] = id
			}
		}
	}
	return nil
}

// Has says whether a node has an image by all of its names.
func (h Held) Has(img *Image) bool {
	return len(img.Names) > 0 && !slices.ContainsFunc(img.Names, func(name string) bool { return h.Names[name] != img.ID.String() })
}

// Missing are the digests of the layers that a node lacks of images which it does not
// have already.
func (h Held) Missing(all []*Image) map[v1.Hash]bool {
	missing := map[v1.Hash]bool{}
	for _, img := range all {
		if h.Has(img) {
			continue
		}
		for _, l := range img.Layers[h.base(img):] {
			if !h.Blobs[l.Digest.String()] {
				missing[l.Digest] = true
			}
		}
	}
	return missing
}

// base is how many of an image's layers, from the lowest up, a node has as a chain.
func (h Held) base(img *Image) int {
	most, at := 0, ""
	for i, l := range img.Layers {
		if at = Chain(at, l.DiffID); h.Chains[at] {
			most = i + 1
		}
	}
	return most
}

// Check sees that a node has images by name and by digest, with all of their layers.
func (h Held) Check(all []*Image) error {
	for _, img := range all {
		for _, name := range img.Names {
			switch h.Names[name] {
			case img.ID.String():
			case "":
				return fmt.Errorf("it does not have %s", name)
			default:
				return fmt.Errorf("%s is %s there, not %s", name, h.Names[name], img.ID)
			}
		}
		for _, l := range img.Layers[h.base(img):] {
			if !h.Blobs[l.Digest.String()] && !h.Blobs[l.DiffID.String()] {
				return fmt.Errorf("%s lacks its layer %s there", img.label(), l.DiffID)
			}
		}
	}
	return nil
}
