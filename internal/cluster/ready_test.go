package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestNotReady(t *testing.T) {
	ready := []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	tainted := func(key string) corev1.NodeSpec { return corev1.NodeSpec{Taints: []corev1.Taint{{Key: key}}} }
	for name, c := range map[string]struct {
		node corev1.Node
		want string
	}{
		"no status": {corev1.Node{}, "no status yet"},
		"not ready": {corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "no network"},
		}}}, "no network"},
		"ready": {corev1.Node{Status: corev1.NodeStatus{Conditions: ready}}, ""},
		"still tainted": {
			corev1.Node{Spec: tainted(corev1.TaintNodeNotReady), Status: corev1.NodeStatus{Conditions: ready}},
			"Ready, and still has the taint node.kubernetes.io/not-ready",
		},
		"tainted by a user": {corev1.Node{Spec: tainted("team"), Status: corev1.NodeStatus{Conditions: ready}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := notReady(&c.node); got != c.want {
				t.Errorf("notReady: %q, want %q", got, c.want)
			}
		})
	}
}
