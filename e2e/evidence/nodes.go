package evidence

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kluster-project/kluster/internal/bundle"
	"github.com/kluster-project/kluster/internal/inventory"
	"github.com/kluster-project/kluster/internal/journal"
)

// journal takes what a node's units said since the spec started.
func (s *scene) journal(ctx context.Context, node string) error {
	text := &bundle.End{Most: mostOfFile}
	err := s.Exec(ctx, node, journal.Query{Units: s.Units, Since: s.since(), Until: s.now}.Args(), text)
	said := text.Bytes()
	if err == nil && len(said) == 0 {
		said = []byte("(nothing was said)\n")
	}
	s.files.Put("nodes/"+node+".log", said, mostOfFile, bundle.Tail)
	return err
}

func (s *scene) conditions(ctx context.Context) error {
	list, err := s.api.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	s.files.Put("nodes/conditions.txt", inventory.ConditionTable(list.Items), mostOfFile, bundle.Head)
	return nil
}
