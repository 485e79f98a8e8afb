package cli

import (
	"errors"
	"strconv"
)

// procsFlag is a number of processes; 0 is what the machine carries.
type procsFlag int

// maxProcs is more than any machine carries: each holds all of Kubernetes' specs.
const maxProcs = 256

func (p *procsFlag) String() string {
	if *p == 0 {
		return autoProcs
	}
	return strconv.Itoa(int(*p))
}

const autoProcs = "auto"

func (p *procsFlag) Type() string { return "auto|N" }

func (p *procsFlag) Set(text string) error {
	if text == autoProcs {
		*p = 0
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxProcs {
		return errors.New("must be auto, or a number from 1 to " + strconv.Itoa(maxProcs))
	}
	*p = procsFlag(n)
	return nil
}
