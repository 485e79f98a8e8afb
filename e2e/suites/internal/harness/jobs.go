package harness

import (
	"context"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FinishJob makes a Job of pods of one container, some of them at a time, and waits
// until it is complete.
func (c *Cluster) FinishJob(ctx context.Context, ns string, pods, parallel int32, container corev1.Container) {
	ginkgo.GinkgoHelper()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "job"}}
	job.Spec.Completions, job.Spec.Parallelism = &pods, &parallel
	job.Spec.Template.Spec = Pod("job", "", container).Spec
	_, err := c.Client.BatchV1().Jobs(ns).Create(ctx, job, metav1.CreateOptions{})
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Eventually(ctx, func(ctx context.Context) (batchv1.JobStatus, error) {
		j, err := c.Client.BatchV1().Jobs(ns).Get(ctx, job.Name, metav1.GetOptions{})
		return j.Status, err
	}).WithTimeout(PodTimeout).Should(gomega.And(
		gomega.HaveField("Succeeded", gomega.Equal(pods)),
		gomega.HaveField("Conditions", gomega.ContainElement(gomega.And(
			gomega.HaveField("Type", batchv1.JobComplete), gomega.HaveField("Status", corev1.ConditionTrue)))),
	))
}
