package chaos_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/e2e/suites/internal/harness"
)

// TestNeighbourAnswers: an API that answers is a beat, and one that does not is seen once.
func TestNeighbourAnswers(t *testing.T) {
	old := neighbour
	defer func() { neighbour = old }()
	neighbour = &harness.Cluster{Name: "n"}
	api := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}})
	down := false
	api.PrependReactor("get", "namespaces", func(ktesting.Action) (bool, k8sruntime.Object, error) {
		return down, nil, errors.New("refused")
	})
	o := &outside{api: api, now: func() time.Duration { return time.Second }, seen: map[string]bool{}}
	for _, down = range []bool{false, true, true} {
		o.ask(t.Context())
	}
	if count, _ := o.beats.Between(0, time.Minute); count != 1 {
		t.Errorf("%d answers", count)
	}
	if diff := cmp.Diff([]string{"the API of n does not answer: refused"}, sortedKeys(o.seen)); diff != "" {
		t.Error(diff)
	}
}
