package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/kluster-project/kluster/internal/bundle"
	"github.com/kluster-project/kluster/internal/nodespec"
	"github.com/kluster-project/kluster/provider"
)

// engineFile is what the engine knows of a machine.
const engineFile = "engine.json"

// engine writes down what the engine says of the machine, and finds it if it does not
// run.
func (n *nodeExport) engine() {
	known := n.Node
	known.Labels = maps.Clone(known.Labels)
	for _, long := range []string{nodespec.LabelManifest, nodespec.LabelLayers} {
		delete(known.Labels, long)
	}
	n.share.Put(n.file(engineFile), indented(known), mostOfFile, bundle.Head)
	if n.State == provider.StateRunning {
		return
	}
	text := fmt.Sprintf("%s is %s", n.Name, n.State)
	switch n.State {
	case provider.StateStopped:
		text += fmt.Sprintf(": its first process ended with code %d", n.ExitCode)
	case provider.StateCreated:
		text = n.Name + " was never started"
	}
	n.find(Cause{Kind: KindNodeStopped, Text: text, File: n.file(engineFile)})
}

// indented is a value as JSON for people.
func indented(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // to memory, of plain data
	return b.Bytes()
}
