// Package nft puts packet rules in place.
package nft

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Apply gives rules to "nft -f -", which takes all of them or none. Its error
// carries what nft says.
func Apply(ctx context.Context, rules string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running nft: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
