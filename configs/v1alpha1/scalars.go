package v1alpha1

// Number is a number that may also be written as a string ("1.5").
type Number string

// Document is a YAML mapping, written as it is or as a block of text. It holds
// the YAML text.
type Document string
