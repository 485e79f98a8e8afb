package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kluster-project/kluster/internal/nodespec"
)

// DefaultName is the name of a cluster that was given none.
const DefaultName = "kluster"

// maxHostName is the longest host name Linux and Kubernetes take.
const maxHostName = 63

// NodeName is the name of a cluster's node, and of its container; number
// counts from 1 in each role.
func NodeName(cluster string, role nodespec.Role, number int) string {
	return fmt.Sprintf("%s-%s-%d", cluster, role, number)
}

func resolveName(w *wish, c *Cluster) {
	c.Name = w.Name
	if c.Name == "" {
		c.Name = DefaultName
	}
}

// checkName is called once the nodes have their names: the longest must be a
// host name.
func checkName(w *wish, c *Cluster, p *problems) {
	if !namePattern.MatchString(c.Name) {
		p.add(w.from.name, nameHint(c.Name), "%q is not a cluster name: it must be lower case letters, digits and \"-\", with a letter or digit at both ends", shorten(c.Name))
		return
	}
	longest := len(NodeName("", nodespec.RoleControlPlane, 1))
	for _, n := range c.Nodes {
		longest = max(longest, len(n.Name)-len(c.Name))
	}
	if limit := maxHostName - longest; len(c.Name) > limit {
		p.add(w.from.name, "node names must fit "+strconv.Itoa(maxHostName)+" characters", "must be at most %d characters here, not %d", limit, len(c.Name))
	}
}

var (
	namePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	notInName   = regexp.MustCompile(`[^a-z0-9]+`)
)

// nameHint offers the nearest valid name.
func nameHint(name string) string {
	fixed := strings.Trim(notInName.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if len(validation.IsDNS1123Label(fixed)) > 0 {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", fixed)
}
