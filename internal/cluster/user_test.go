package cluster

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	certificates "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kluster-project/kluster/internal/failure"
	"github.com/kluster-project/kluster/internal/pki"
)

func TestUserOptions(t *testing.T) {
	day := 24 * time.Hour
	for _, test := range []struct {
		name string
		opt  UserOptions
		bad  string
	}{
		{"plain", UserOptions{User: "dev", Groups: []string{"readers", "system:monitoring"}, Expires: day}, ""},
		{"no name", UserOptions{Expires: day}, "a user has a name"},
		{"all power", UserOptions{User: "dev", Groups: []string{"a", "system:masters"}, Expires: day}, "no certificate of the group system:masters"},
		{"empty group", UserOptions{User: "dev", Groups: []string{""}, Expires: day}, `"" is no name`},
		{"two lines", UserOptions{User: "dev\nroot", Expires: day}, `"dev\nroot" is no name`},
		{"too short", UserOptions{User: "dev", Expires: time.Minute}, "a certificate for 1m0s"},
		{"too long", UserOptions{User: "dev", Expires: 366 * day}, "a certificate for 8784h0m0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.opt.check()
			if test.bad == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.bad) || failure.Code(err) != failure.CodeUsage {
				t.Errorf("err = %v with code %d, want %q", err, failure.Code(err), test.bad)
			}
		})
	}
}

// signer is an API that gives requests a name and, once they are approved, a status.
func signer(status certificates.CertificateSigningRequestStatus) *fake.Clientset {
	client := fake.NewClientset()
	client.PrependReactor("create", "certificatesigningrequests", func(a clienttesting.Action) (bool, runtime.Object, error) {
		a.(clienttesting.CreateAction).GetObject().(*certificates.CertificateSigningRequest).Name = "kluster-user-x"
		return false, nil, nil
	})
	client.PrependReactor("update", "certificatesigningrequests", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.UpdateAction).GetObject().(*certificates.CertificateSigningRequest)
		r.Status.Certificate = status.Certificate
		r.Status.Conditions = append(r.Status.Conditions, status.Conditions...)
		return false, nil, nil
	})
	return client
}

func TestSigned(t *testing.T) {
	denied := []certificates.CertificateSigningRequestCondition{{Type: certificates.CertificateFailed, Reason: "No", Message: "never"}}
	for name, test := range map[string]struct {
		status certificates.CertificateSigningRequestStatus
		bad    string
	}{
		"signed":  {certificates.CertificateSigningRequestStatus{Certificate: []byte("PEM")}, ""},
		"refused": {certificates.CertificateSigningRequestStatus{Conditions: denied}, "it was refused: No: never"},
		"nobody":  {certificates.CertificateSigningRequestStatus{}, "not within 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := signer(test.status)
				got, err := signed(t.Context(), client, []byte("request"), time.Hour)
				if test.bad == "" && (err != nil || string(got) != "PEM") {
					t.Errorf("got %q and %v", got, err)
				}
				if test.bad != "" && (err == nil || !strings.Contains(err.Error(), test.bad)) {
					t.Errorf("err = %v, want %q", err, test.bad)
				}
				left, err := client.CertificatesV1().CertificateSigningRequests().List(context.Background(), metav1.ListOptions{})
				if err != nil || len(left.Items) > 0 {
					t.Errorf("the request is left: %v, %v", left.Items, err)
				}
			})
		})
	}
}

func TestNewRequest(t *testing.T) {
	request, key, err := pki.NewRequest("dev", []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(request)
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || r.CheckSignature() != nil {
		t.Fatal(err, r.CheckSignature())
	}
	if r.Subject.CommonName != "dev" || strings.Join(r.Subject.Organization, " ") != "a b" {
		t.Errorf("it is for %s", r.Subject)
	}
	if block, _ := pem.Decode(key); block == nil || block.Type != "EC PRIVATE KEY" {
		t.Errorf("the key is %v", block)
	}
}
