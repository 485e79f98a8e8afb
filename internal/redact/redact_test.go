package redact

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	jwt   = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"
	body  = "MIIEowIBAAKCAQEA0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL"
	key   = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"
	token = "abcdef.0123456789abcdef"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"a " + jwt + " b":                     "a (token) b",
		"Authorization: Bearer abcdefgh123":   "Authorization: Bearer (credentials)",
		"x\n" + key + "\ny":                   "x\n(private key)\ny",
		"x\n" + key[:40]:                      "x\n(private key)",
		"--token " + token + " end":           "--token (redacted) end",
		`{"token":"` + token + `"}`:           `{"token":"(redacted)"}`,
		"found " + token + ", and":            "found (redacted), and",
		"client-key-data: LS0tLS1CRUdJTg==\n": "client-key-data: (redacted)\n",
		"certificateKey: 0123456789abcdef":    "certificateKey: (redacted)",
		// A log of the runtime's own form has words before each line.
		"2026 stdout F -----BEGIN PRIVATE KEY-----\n2026 stdout F " + body + "\n2026 stdout F -----END PRIVATE KEY-----\nz": "2026 stdout F (private key)\nz",
		"F " + body + "\nF abcd==\nF -----END PRIVATE KEY-----\nz":                                                          "(private key)\nz",
		"x: " + base64.StdEncoding.EncodeToString([]byte(key)):                                                              "x: (private key)",
		"x: " + base64.StdEncoding.EncodeToString([]byte("-----BEGIN PRIVATE KEY-----\nMIIE")):                              "x: (private key)",
		"x: " + base64.StdEncoding.EncodeToString([]byte("-----BEGIN EC PRIVATE KEY-----\nMIIE")):                           "x: (private key)",
		"x: " + base64.StdEncoding.EncodeToString([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE")):                    "x: (private key)",
		"HTTP_PROXY=http://me:s3cret@proxy:3128 x":                                                                          "HTTP_PROXY=http://(credentials)@proxy:3128 x",
		`proxy "https://me:p@ss@proxy/"`:                                                                                    `proxy "https://(credentials)@proxy/"`,
		"socks5://me:p@proxy:1080":                                                                                          "socks5://(credentials)@proxy:1080",
		"DB_PASSWORD=hunter2 x":                                                                                             "DB_PASSWORD=(redacted) x",
		`{"auths":{"r.example":{"auth":"cGxhbnRlZDpwbGFudGVk"}}}`:                                                           `{"auths":{"r.example":{"auth":"(redacted)"}}}`,
		`{\"auth\": \"cGxhbnRlZDpwbGFudGVk\"}`:                                                                              `{\"auth\": \"(redacted)\"}`,
		`"password": "a"`:                                                                                                   `"password": "(redacted)"`,
		"- name: API_TOKEN\n  value: \"0123\"\n":                                                                            "- name: API_TOKEN\n  value: \"(redacted)\"\n",
		`{"name":"API_TOKEN","value":"0123"}`:                                                                               `{"name":"API_TOKEN","value":"(redacted)"}`,
		`{\"name\":\"PASSWORD\",\"value\":\"0123\"}`:                                                                        `{\"name\":\"PASSWORD\",\"value\":\"(redacted)\"}`,
		// What is left as it is.
		"serviceAccountToken:\n  expiration: 1": "serviceAccountToken:\n  expiration: 1",
		"automountServiceAccountToken: false":   "automountServiceAccountToken: false",
		"pod-" + token:                          "pod-" + token,
		"secretName: some-secret-of-a-pod":      "secretName: some-secret-of-a-pod",
		"- name: token\n  mountPath: /x":        "- name: token\n  mountPath: /x",
		"http://172.28.0.2:6443/healthz":        "http://172.28.0.2:6443/healthz",
		"docker-pullable://a@sha256:0":          "docker-pullable://a@sha256:0",
		"-----BEGIN CERTIFICATE-----\nMIIE\n":   "-----BEGIN CERTIFICATE-----\nMIIE\n",
	} {
		if got := string(Text([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("token: ", " after")
	f.Add("-----BEGIN PRIVATE KEY-----", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		if got := string(Text([]byte(before + " " + jwt + " " + after))); strings.Contains(got, jwt) {
			t.Errorf("a token is seen: %q", got)
		}
	})
}

func TestObject(t *testing.T) {
	pod := &unstructured.Unstructured{Object: map[string]any{
		"kind":     "Pod",
		"metadata": map[string]any{"managedFields": []any{map[string]any{"manager": "x"}}},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "env": []any{
			map[string]any{"name": "DB_PASSWORD", "value": "hunter2"}, map[string]any{"name": "MODE", "value": "fast"},
		}}}},
	}}
	Object(pod)
	want := map[string]any{
		"kind": "Pod", "metadata": map[string]any{},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "env": []any{
			map[string]any{"name": "DB_PASSWORD", "value": "(redacted)"}, map[string]any{"name": "MODE", "value": "fast"},
		}}}},
	}
	if diff := cmp.Diff(want, pod.Object); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	secret := &unstructured.Unstructured{Object: map[string]any{
		"kind": "Secret", "data": map[string]any{"k": "c2VjcmV0"}, "stringData": map[string]any{"s": "four"},
		"metadata": map[string]any{"annotations": map[string]any{lastApplied: "c2VjcmV0"}},
	}}
	Object(secret)
	want = map[string]any{
		"kind": "Secret", "data": map[string]any{"k": "(redacted, 6 bytes)"}, "stringData": map[string]any{"s": "(redacted, 4 bytes)"},
		"metadata": map[string]any{"annotations": map[string]any{}},
	}
	if diff := cmp.Diff(want, secret.Object); diff != "" {
		t.Errorf("secret (-want +got):\n%s", diff)
	}
}
