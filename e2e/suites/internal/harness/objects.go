package harness

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// grace keeps pods that ignore SIGTERM from holding up a spec.
var grace int64 = 1

// WebPort is where Web's pods serve HTTP.
const WebPort = 8080

// Web is the container of a web server that answers /hostname with its pod's
// name and /clientip with the caller's address and port.
func Web(agnhost string) corev1.Container {
	return corev1.Container{
		Name: "c", Image: agnhost, ImagePullPolicy: corev1.PullNever,
		Args: []string{"netexec", "--http-port=8080"},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(WebPort)},
		}},
	}
}

// Command is a container that runs a command.
func Command(image string, cmd ...string) corev1.Container {
	return corev1.Container{Name: "c", Image: image, ImagePullPolicy: corev1.PullNever, Command: cmd}
}

// Idle is a container that waits to be exec'ed in.
func Idle(busybox string) corev1.Container { return Command(busybox, "sleep", "86400") }

// Pod is a pod of one container, on a node of choice unless node is "", that is
// not started again when it ends.
func Pod(name, node string, c corev1.Container) *corev1.Pod {
	spec := podSpec(c)
	spec.RestartPolicy = corev1.RestartPolicyNever
	if node != "" {
		spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
	return &corev1.Pod{ObjectMeta: meta(name), Spec: spec}
}

func podSpec(c corev1.Container) corev1.PodSpec {
	return corev1.PodSpec{
		Containers: []corev1.Container{c}, TerminationGracePeriodSeconds: &grace,
		Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}},
	}
}

func meta(app string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: app, Labels: map[string]string{"app": app}}
}

func selector(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func template(app string, c corev1.Container) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}}, Spec: podSpec(c)}
}

// Deployment has its pods spread evenly over the nodes.
func Deployment(name string, replicas int32, c corev1.Container) *appsv1.Deployment {
	t := template(name, c)
	t.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector(name),
	}}
	return &appsv1.Deployment{ObjectMeta: meta(name), Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: selector(name), Template: t,
	}}
}

// DaemonSet has a pod on every node.
func DaemonSet(name string, c corev1.Container) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{ObjectMeta: meta(name), Spec: appsv1.DaemonSetSpec{
		Selector: selector(name), Template: template(name, c),
	}}
}

// StatefulSet is governed by the headless Service of its own name.
func StatefulSet(name string, replicas int32, c corev1.Container, claims ...corev1.PersistentVolumeClaim) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: meta(name), Spec: appsv1.StatefulSetSpec{
		Replicas: &replicas, ServiceName: name, Selector: selector(name), Template: template(name, c), VolumeClaimTemplates: claims,
	}}
}

// Service sends port 80 to WebPort of the pods with label app=APP.
func Service(name, app string, kind corev1.ServiceType) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta(name), Spec: corev1.ServiceSpec{
		Type: kind, Selector: map[string]string{"app": app},
		Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(WebPort)}},
	}}
}

// Headless is a Service without an address: its name resolves to its pods.
func Headless(name, app string) *corev1.Service {
	s := Service(name, app, corev1.ServiceTypeClusterIP)
	s.Spec.ClusterIP = corev1.ClusterIPNone
	return s
}
