package certify

import (
	"bytes"
	"fmt"
	"net/mail"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kluster-project/kluster/internal/failure"
)

// Product is what is certified, as PRODUCT.yaml has it.
type Product struct {
	Vendor           string `yaml:"vendor"` // the legal entity with a participation form
	Name             string `yaml:"name"`
	Version          string `yaml:"version"` // the product's, not Kubernetes'
	WebsiteURL       string `yaml:"website_url"`
	RepoURL          string `yaml:"repo_url,omitempty"`
	DocumentationURL string `yaml:"documentation_url"`
	ProductLogoURL   string `yaml:"product_logo_url,omitempty"`
	Type             string `yaml:"type"` // one of productTypes
	Description      string `yaml:"description"`
	ContactEmail     string `yaml:"contact_email_address"`
}

// productTypes are those that the bot knows.
var productTypes = []string{"distribution", "hosted platform", "installer"}

// LoadProduct reads a file in PRODUCT.yaml's own form.
func LoadProduct(file string) (Product, error) {
	var p Product
	data, err := os.ReadFile(file)
	if err != nil {
		return p, failure.With(fmt.Errorf("reading product: %w", err), productHint())
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&p); err != nil {
		return p, failure.With(fmt.Errorf("reading product %s: %w", file, err), productHint())
	}
	return p, nil
}

func productHint() failure.Option {
	var names []string
	for _, f := range (Product{}).fields() {
		if f.required {
			names = append(names, f.name)
		}
	}
	return failure.Hint("it is a PRODUCT.yaml, with %s", strings.Join(names, ", "))
}

// field is one of a product's, as the bot looks at it.
type field struct {
	name, value string
	required    bool
	check       func(string) error
}

func (p Product) fields() []field {
	return []field{
		{"vendor", p.Vendor, true, nil},
		{"name", p.Name, true, nil},
		{"version", p.Version, true, nil},
		{"type", p.Type, true, checkType},
		{"description", p.Description, true, nil},
		{"website_url", p.WebsiteURL, true, checkURL},
		{"repo_url", p.RepoURL, false, checkURL},
		{"documentation_url", p.DocumentationURL, true, checkURL},
		{"product_logo_url", p.ProductLogoURL, false, checkURL},
		{"contact_email_address", p.ContactEmail, true, checkEmail},
	}
}

// check adds what the bot would not accept.
func (p Product) check(r *reasons) {
	for _, f := range p.fields() {
		switch {
		case strings.TrimSpace(f.value) == "":
			if f.required {
				r.add("%s has no %s", ProductFile, f.name)
			}
		case f.check != nil:
			if err := f.check(f.value); err != nil {
				r.add("%s: %s %q: %v", ProductFile, f.name, f.value, err)
			}
		}
	}
}

func checkType(value string) error {
	if !slices.Contains(productTypes, value) {
		return fmt.Errorf("none of %q", productTypes)
	}
	return nil
}

func checkURL(value string) error {
	u, err := url.ParseRequestURI(value)
	if err != nil {
		return err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("not the address of a web page")
	}
	return nil
}

func checkEmail(value string) error {
	_, err := mail.ParseAddress(value)
	return err
}

var notFolder = regexp.MustCompile(`[^a-z0-9]+`)

// folder is the product's name as that of its folder in a submission.
func (p Product) folder() string {
	return strings.Trim(notFolder.ReplaceAllString(strings.ToLower(p.Name), "-"), "-")
}
