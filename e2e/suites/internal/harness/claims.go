package harness

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Claim is a claim of 16 MiB on the default StorageClass.
func Claim(name string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("16Mi")}},
		},
	}
}

// Mounted is a container with a volume at /data.
func Mounted(volume string, c corev1.Container) corev1.Container {
	c.VolumeMounts = []corev1.VolumeMount{{Name: volume, MountPath: "/data"}}
	return c
}

// ClaimPod is Pod with a claim at /data.
func ClaimPod(name, node, claim string, c corev1.Container) *corev1.Pod {
	p := Pod(name, node, Mounted("data", c))
	p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}}}
	return p
}
