package boot

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// ReadNode reads what the node was told, below root. A machine that was told
// nothing gets a zero Node: it boots bare, belonging to no cluster.
func ReadNode(root string) (nodespec.Node, error) {
	data, err := os.ReadFile(filepath.Join("/", root, nodespec.NodeFile))
	if os.IsNotExist(err) {
		return nodespec.Node{}, nil
	}
	if err != nil {
		return nodespec.Node{}, fmt.Errorf("reading what the node was told: %w", err)
	}
	var node nodespec.Node
	if err := json.Unmarshal(data, &node); err != nil {
		return nodespec.Node{}, fmt.Errorf("reading %s: %w", nodespec.NodeFile, err)
	}
	if node.Protocol != nodespec.Protocol {
		return nodespec.Node{}, fmt.Errorf("%s is of protocol %d and this image's kluster-node speaks %d: use a node image that belongs to the kluster command",
			nodespec.NodeFile, node.Protocol, nodespec.Protocol)
	}
	return node, nil
}
