package nodespec

import (
	"encoding/json"
	"fmt"
	"path"
)

// MirrorsFile is what a source tells a node of mirrors.
func MirrorsFile(source string, list []Mirror) (File, error) {
	if list == nil {
		list = []Mirror{}
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return File{}, fmt.Errorf("encoding mirrors: %w", err)
	}
	return File{Path: path.Join(MirrorsDir, source+".json"), Mode: 0o644, Data: append(text, '\n')}, nil
}
