package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	certificates "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/kubeconfig"
	"github.com/kluster-project/kluster/internal/pki"
)

// UserOptions say whom a kubeconfig is for.
type UserOptions struct {
	Cluster string
	User    string
	Groups  []string
	// Expires is how long it is good for.
	Expires time.Duration
	// Internal is for use from containers on the cluster's network.
	Internal bool
}

// The shortest and the longest time that a cluster signs a certificate for.
const (
	shortestUser = 10 * time.Minute
	longestUser  = 365 * 24 * time.Hour
)

// mastersGroup may do everything, whatever roles say, and nothing takes that back but a
// new certificate authority. Clusters sign no certificate of it.
const mastersGroup = "system:masters"

// signTime bounds the way of a request to its certificate, and signPoll is how often it
// is looked for.
const (
	signTime = time.Minute
	signPoll = 100 * time.Millisecond
)

// check finds mistakes of the user's.
func (o UserOptions) check() error {
	switch {
	case o.User == "":
		return &inputError{errors.New("a user has a name")}
	case slices.Contains(o.Groups, mastersGroup):
		return &inputError{failure.New("no certificate of the group "+mastersGroup+": it may do everything for ever, whatever roles say",
			failure.Hint("kluster get kubeconfig without --user is the administrator's; or bind the role cluster-admin to a group of another name"))}
	case o.Expires < shortestUser || o.Expires > longestUser:
		return &inputError{fmt.Errorf("a certificate for %v: it can be for %v to %v", o.Expires, shortestUser, longestUser)}
	}
	for _, name := range append([]string{o.User}, o.Groups...) {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return &inputError{fmt.Errorf("%q is no name of a user or a group", name)}
		}
	}
	return nil
}

// UserKubeconfig gives a kubeconfig of a user who may do what roles grant to that name and
// those groups, and no more. The cluster signs the certificate; the key is made here, and
// is in the result alone.
func (m *Manager) UserKubeconfig(ctx context.Context, opt UserOptions) ([]byte, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	admin, err := m.Kubeconfig(ctx, opt.Cluster, false)
	if err != nil {
		return nil, err
	}
	client, _, err := m.clients(admin)
	if err != nil {
		return nil, err
	}
	request, key, err := pki.NewRequest(opt.User, opt.Groups)
	if err != nil {
		return nil, err
	}
	certificate, err := signed(ctx, client, request, opt.Expires)
	if err != nil {
		return nil, fmt.Errorf("having the certificate of %s signed by cluster %q: %w", opt.User, opt.Cluster, err)
	}
	entry, err := kubeconfig.Parse(admin)
	if err != nil {
		return nil, err
	}
	if opt.Internal {
		entry.Server = internalServer(opt.Cluster)
	}
	entry.Name, entry.ClientCertificate, entry.ClientKey = UserContextName(opt.Cluster, opt.User), certificate, key
	return kubeconfig.Render(entry)
}

// UserContextName is the name of the context of a user's kubeconfig.
func UserContextName(cluster, user string) string { return user + "@" + ContextName(cluster) }

// signed has the cluster sign a request, and leaves nothing of it there.
func signed(ctx context.Context, client kubernetes.Interface, request []byte, expires time.Duration) (certificate []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, signTime, fmt.Errorf("not within %v; does kube-controller-manager run?", signTime))
	defer cancel()
	seconds := int32(expires / time.Second)
	requests := client.CertificatesV1().CertificateSigningRequests()
	r, err := requests.Create(ctx, &certificates.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "kluster-user-"},
		Spec: certificates.CertificateSigningRequestSpec{
			Request: request, SignerName: certificates.KubeAPIServerClientSignerName, ExpirationSeconds: &seconds,
			Usages: []certificates.KeyUsage{certificates.UsageDigitalSignature, certificates.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
		err = errors.Join(err, requests.Delete(clean, r.Name, metav1.DeleteOptions{}))
	}()
	r.Status.Conditions = append(r.Status.Conditions, certificates.CertificateSigningRequestCondition{
		Type: certificates.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Kluster", Message: "kluster get kubeconfig --user",
	})
	if _, err := requests.UpdateApproval(ctx, r.Name, r, metav1.UpdateOptions{}); err != nil {
		return nil, err
	}
	err = wait.PollUntilContextCancel(ctx, signPoll, true, func(ctx context.Context) (bool, error) {
		now, err := requests.Get(ctx, r.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		certificate = now.Status.Certificate
		return len(certificate) > 0, turnedDown(now)
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return certificate, err
}

// turnedDown is why a request will not be signed, if it is known.
func turnedDown(r *certificates.CertificateSigningRequest) error {
	for _, c := range r.Status.Conditions {
		if c.Type == certificates.CertificateFailed || c.Type == certificates.CertificateDenied {
			return fmt.Errorf("it was refused: %s: %s", c.Reason, c.Message)
		}
	}
	return nil
}
