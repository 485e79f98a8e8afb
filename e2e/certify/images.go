package certify

// published are the digests under which upstream published the images of conformance
// specs, for all architectures together: those of e2e-test-images as kubernetes/k8s.io
// lists them (registry.k8s.io/images/*/images.yaml), pause's and etcd's as clusters
// that pulled them tell.
var published = map[string]string{
	"registry.k8s.io/e2e-test-images/agnhost:2.55":            "sha256:541cafada1867e8684b25d24f0cb1132e76aff093401b5987490b654fbd79c0a",
	"registry.k8s.io/e2e-test-images/agnhost:2.59":            "sha256:10ed98804c877e505e17bced991682b6fd50ab1da9cddcd19935b48d645da40a",
	"registry.k8s.io/e2e-test-images/agnhost:2.63.0":          "sha256:a62f40481e05709988fe44e5035b2e0f553cd52bf0ae4e83614928255b00e8c1",
	"registry.k8s.io/e2e-test-images/busybox:1.37.0-1":        "sha256:0ffbe172f8d245c83f285c6992b452c53d085661e03ddfd3b484332026e6c8bb",
	"registry.k8s.io/e2e-test-images/glibc-dns-testing:2.0.0": "sha256:5017306bb8d1d4c34b7678e69c26b6d6c44168bbe600829c4cae5534c7d0324a",
	"registry.k8s.io/e2e-test-images/jessie-dnsutils:1.7":     "sha256:24aaf2626d6b27864c29de2097e8bbb840b3a414271bf7c8995e431e47d8408e",
	"registry.k8s.io/e2e-test-images/kitten:1.8":              "sha256:e122d064bcccffaa662f800ea6982cb90de0b5d5d309273e2f99fef6b99c865d",
	"registry.k8s.io/e2e-test-images/nautilus:1.7":            "sha256:80ba6c8c44f9623f06e868a1aa66026c8ec438ad814f9ec95e9333b415fe3550",
	"registry.k8s.io/e2e-test-images/nautilus:1.8":            "sha256:f2e26351c2132bf496376a780cb5985805d8f53b71e55571a759292c3325b718",
	"registry.k8s.io/e2e-test-images/nginx:1.14-4":            "sha256:5c99cf6a02adda929b10321dbf4ecfa00d87be9ba4fb456006237d530ab4baa1",
	"registry.k8s.io/e2e-test-images/nginx:1.15-4":            "sha256:db048754ae68ae337d8fa96494c96d2a1204c3320f5dcf7e8e71085adec85da6",
	"registry.k8s.io/e2e-test-images/nonewprivs:1.3":          "sha256:8ac1264691820febacf3aea5d152cbde6d10685731ec14966a9401c6f47a68ac",
	"registry.k8s.io/e2e-test-images/nonewprivs:1.4":          "sha256:176bf4c0e3555b7be45fb0922a463de6019746cbbb27fa74bd0e97a6dad6af9c",
	"registry.k8s.io/e2e-test-images/sample-apiserver:1.29.2": "sha256:19d4ecf1e0731b9ea55aca9c070d520f68b96ed0defbcc0e4eefe97b3d663ca3",
	"registry.k8s.io/etcd:3.6.8-0":                            "sha256:397189418d1a00e500c0605ad18d1baf3b541a1004d768448c367e48071622e5",
	"registry.k8s.io/pause:3.10.1":                            "sha256:278fb9dbcca9518083ad1e11276933a2e96f23de604a3a08cc3c80002767d24c",
	"registry.k8s.io/pause:3.10.2":                            "sha256:f548e0e8e3dc1896ca956272154dde3314e8cc4fde0a57577ee9fa1c63f5baf4",
}

// Published is the digest under which upstream published an image, "" if that is
// not known here.
func Published(ref string) string { return published[ref] }
