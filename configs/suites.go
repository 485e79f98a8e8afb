package configs

import _ "embed"

// Suites is suites.yaml, decoded by package plan.
//
//go:embed suites.yaml
var Suites []byte
