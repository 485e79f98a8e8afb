package netpol

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kluster-project/kluster/internal/nodeagent/nft"
	"github.com/kluster-project/kluster/internal/wait"
)

// Back-off between tries to read policies, doubling from first to last. The roles
// of a new cluster come seconds after its API; a cluster that was made before there
// were policies never has them.
const (
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = time.Second
)

// Connect makes the service of the node called name with the credentials of a
// kubeconfig, and waits until these may read policies. Its only other error is
// ctx's.
func Connect(ctx context.Context, kubeconfig, name string, gate *Gate, log *slog.Logger) (*Service, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, networkingv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	core, err := client(config, "/api", corev1.SchemeGroupVersion, scheme)
	if err != nil {
		return nil, err
	}
	networking, err := client(config, "/apis", networkingv1.SchemeGroupVersion, scheme)
	if err != nil {
		return nil, err
	}
	if err := allowed(ctx, networking, log); err != nil {
		return nil, err
	}
	watch := func(c *rest.RESTClient, resource string) cache.ListerWatcher {
		return cache.NewListWatchFromClient(c, resource, metav1.NamespaceAll, fields.Everything())
	}
	return &Service{
		Node: name, Policies: watch(networking, "networkpolicies"),
		Pods: watch(core, "pods"), Namespaces: watch(core, "namespaces"),
		Find: finder(core), Apply: nft.Apply, Gate: gate, Log: log,
	}, nil
}

// finder asks for a pod as the API's store has it.
func finder(core *rest.RESTClient) func(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return func(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
		pod := &corev1.Pod{}
		err := core.Get().Namespace(namespace).Resource("pods").Name(name).Do(ctx).Into(pod)
		switch {
		case apierrors.IsNotFound(err):
			return nil, nil
		case err != nil:
			return nil, err
		}
		kept, err := strip(pod)
		if err != nil {
			return nil, err
		}
		return kept.(*corev1.Pod), nil
	}
}

func client(config *rest.Config, path string, version schema.GroupVersion, scheme *runtime.Scheme) (*rest.RESTClient, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &version, path
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType = runtime.ContentTypeProtobuf
	config.UserAgent = "kluster-node"
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API: %w", err)
	}
	return client, nil
}

// allowed returns when the API has listed policies. An informer that is refused
// would wait for longer and longer, up to half a minute.
func allowed(ctx context.Context, client *rest.RESTClient, log *slog.Logger) error {
	told := ""
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		err := client.Get().Resource("networkpolicies").Param("limit", "1").Timeout(10 * time.Second).Do(ctx).Error()
		if err == nil {
			return nil
		}
		if err.Error() != told && ctx.Err() == nil {
			log.Warn("cannot read network policies; trying again", "error", err)
			told = err.Error()
		}
		if !wait.For(ctx, backoff) {
			return ctx.Err()
		}
	}
}
