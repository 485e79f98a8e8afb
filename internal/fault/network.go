package fault

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// Names of the parameters of faults of the network.
const (
	ParamDelay   = "delay"
	ParamJitter  = "jitter"
	ParamPercent = "percent"
	ParamRate    = "rate"
)

// LongestDelay of a packet: with it, what a fast connection sends still has room.
const LongestDelay = 10 * time.Second

func checkDelay(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d < 0 || d > LongestDelay {
		return fmt.Errorf(`must be a time of at most %v, like "100ms"`, LongestDelay)
	}
	return nil
}

func checkPercent(value string) error {
	if p, err := strconv.ParseFloat(value, 64); err != nil || math.IsNaN(p) || p < 0.01 || p > 100 {
		return errors.New("must be a number of percents from 0.01 to 100")
	}
	return nil
}

func checkRate(value string) error {
	_, err := Rate(value)
	return err
}

// rateForm is what a rate looks like, and rateUnits are bits per second.
var (
	rateForm  = regexp.MustCompile(`^([0-9]{1,6})(kbit|mbit|gbit)$`)
	rateUnits = map[string]int64{"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
)

// Bounds of rates, in bits per second. With less, one packet takes minutes.
const (
	leastRate = 64e3
	mostRate  = 100e9
)

// Rate reads bits per second: "10mbit".
func Rate(value string) (int64, error) {
	parts := rateForm.FindStringSubmatch(value)
	if parts == nil {
		return 0, errors.New(`must be bits per second, like "512kbit", "10mbit" or "1gbit"`)
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return 0, err
	}
	if n *= rateUnits[parts[2]]; n < leastRate || n > mostRate {
		return 0, errors.New("must be from 64kbit to 100gbit")
	}
	return n, nil
}
