// Package archtest holds the tests of the repository's shape: which package may
// import which, and that every package says what it is. It has no code.
package archtest
