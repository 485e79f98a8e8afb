package goapi_test

import (
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster"
)

var _ = Describe("A controller", Label("long"), Ordered, func() {
	const name, worker = "it-goapi", "it-goapi-worker-1"
	var cluster *kluster.Cluster
	var client kubernetes.Interface

	BeforeAll(func(ctx SpecContext) {
		engine, err := kluster.Connect(ctx, kluster.Options{Program: os.Getenv("KLUSTER"), Log: GinkgoWriter})
		Expect(err).NotTo(HaveOccurred())
		cluster, err = engine.Create(ctx, kluster.CreateOptions{Name: name, ControlPlanes: 1, Workers: 1, Ephemeral: true})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(cluster.Delete)
		config, err := cluster.RESTConfig(ctx)
		Expect(err).NotTo(HaveOccurred())
		client, err = kubernetes.NewForConfig(config)
		Expect(err).NotTo(HaveOccurred())
	}, NodeTimeout(10*time.Minute))

	ready := func(ctx SpecContext) corev1.ConditionStatus {
		node, err := client.CoreV1().Nodes().Get(ctx, worker, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c.Status
			}
		}
		return corev1.ConditionUnknown
	}

	It("sees a node go and come back", func(ctx SpecContext) {
		Expect(cluster.StopNodes(ctx, kluster.StopOptions{}, worker)).To(Succeed())
		Expect(cluster.WaitNodeNotReady(ctx, worker)).To(Succeed())
		Expect(ready(ctx)).NotTo(Equal(corev1.ConditionTrue))
		Expect(cluster.StartNodes(ctx, worker)).To(Succeed())
		Expect(ready(ctx)).To(Equal(corev1.ConditionTrue))
	}, SpecTimeout(5*time.Minute))

	It("is there after a fault that ends by itself", func(ctx SpecContext) {
		fault, err := cluster.Fault(ctx, kluster.FaultSpec{Kind: kluster.FaultPause, Nodes: []string{worker}, For: 5 * time.Second})
		Expect(err).NotTo(HaveOccurred())
		Expect(cluster.Nodes(ctx)).To(ContainElement(And(HaveField("Name", worker), HaveField("State", kluster.Paused))))
		Expect(fault.Wait(ctx)).To(Succeed())
		Expect(cluster.WaitReady(ctx)).To(Succeed())
	}, SpecTimeout(5*time.Minute))

	It("keeps what it has when the whole cluster is stopped and started", func(ctx SpecContext) {
		made, err := client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "kept"}, Data: map[string]string{"a": "b"},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(cluster.Stop(ctx)).To(Succeed())
		Expect(cluster.Start(ctx)).To(Succeed())
		kept, err := client.CoreV1().ConfigMaps("default").Get(ctx, "kept", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(kept.UID).To(Equal(made.UID))
	}, SpecTimeout(5*time.Minute))
})
