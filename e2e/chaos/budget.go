package chaos

import (
	"fmt"
	"strconv"
)

// Meter names a number of a Row that must not be too big.
type Meter string

// The meters.
const (
	Lost          Meter = "lost"
	Gap           Meter = "gap"
	Ready         Meter = "ready"
	Whole         Meter = "whole"
	Written       Meter = "written"
	Refused       Meter = "refused"
	Leaders       Meter = "leaders"
	LeaderChanges Meter = "leader-changes"
	NotReady      Meter = "not-ready"
	Restarts      Meter = "restarts"
	Leaks         Meter = "leaks"
	Silent        Meter = "silent"
	Back          Meter = "back"
	Paused        Meter = "paused"
	Outside       Meter = "outside"
)

// meters say what each is, and read it.
var meters = map[Meter]struct {
	what string
	unit string
	of   func(Row) float64
}{
	Lost:          {"lost write or stale read", "", func(r Row) float64 { return float64(len(r.Wrong)) }},
	Gap:           {"gap through the load balancer", " s", func(r Row) float64 { return float64(r.way(LoadBalancer).Gap) }},
	Ready:         {"all nodes Ready", " s", func(r Row) float64 { return float64(r.Ready) }},
	Whole:         {"all works again", " s", func(r Row) float64 { return float64(r.Whole) }},
	Written:       {"writes are taken again", " s", func(r Row) float64 { return float64(r.Written) }},
	Refused:       {"write acknowledged without a quorum", "", func(r Row) float64 { return float64(r.CutOff) }},
	Leaders:       {"leaders of one term", "", func(r Row) float64 { return float64(r.MostLeaders) }},
	LeaderChanges: {"changes of etcd's leader", "", func(r Row) float64 { return float64(r.LeaderChanges) }},
	NotReady:      {"node that went NotReady", "", func(r Row) float64 { return float64(len(r.NodesNotReady)) }},
	Restarts:      {"other pod restarted", "", func(r Row) float64 { return float64(len(r.Restarted)) }},
	Leaks:         {"thing left behind", "", func(r Row) float64 { return float64(len(r.Left)) }},
	Silent:        {"fault that nobody is told of", "", func(r Row) float64 { return float64(count(r.Said == "")) }},
	Back:          {"Ready after kluster node start", " s", func(r Row) float64 { return float64(r.Ready) }},
	Paused:        {"pause of a pod that the fault spares", " s", longestPause},
	Outside:       {"change outside the cluster", "", func(r Row) float64 { return float64(len(r.Outside)) }},
}

// blind are the meters that have nothing to read in some rows: what nobody has looked at keeps
// to no budget.
var blind = map[Meter]func(Row) bool{
	Paused: func(r Row) bool { return len(r.Pods) == 0 },
}

// longestPause is that of the pod that was silent for longest.
func longestPause(r Row) float64 {
	var longest Seconds
	for _, p := range r.Pods {
		longest = max(longest, p.Pause)
	}
	return float64(longest)
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// Budget is the most that a meter may show.
type Budget struct {
	Meter Meter   `json:"meter"`
	Most  float64 `json:"most"`
	Got   float64 `json:"got"`
	// Blind: the meter had nothing to read, which is not met.
	Blind bool `json:"blind,omitempty"`
	Met   bool `json:"met"`
}

// everyRow is what every row must keep to.
var everyRow = []Budget{{Meter: Lost}, {Meter: Leaders, Most: 1}, {Meter: Restarts}, {Meter: Leaks}, {Meter: Outside}}

// Judge reads the meters for a row's own budgets, and those that all rows have.
func (r Row) Judge(own ...Budget) Row {
	r.Budgets = nil
	for _, list := range [][]Budget{own, everyRow} {
		for _, b := range list {
			b.Got = meters[b.Meter].of(r)
			isBlind, may := blind[b.Meter]
			b.Blind = may && isBlind(r)
			b.Met = b.Got <= b.Most && !b.Blind
			r.Budgets = append(r.Budgets, b)
		}
	}
	return r
}

// Must is the budget for people: "all nodes Ready ≤ 30 s".
func (b Budget) Must() string {
	m := meters[b.Meter]
	if b.Most == 0 {
		return "no " + m.what
	}
	return fmt.Sprintf("%s ≤ %s%s", m.what, number(b.Most), m.unit)
}

// Measured is what came of it: "12.3 s".
func (b Budget) Measured() string {
	if b.Blind {
		return "nothing to measure"
	}
	return number(b.Got) + meters[b.Meter].unit
}

// Verdict is "met" or "unmet".
func (b Budget) Verdict() string {
	if b.Met {
		return "met"
	}
	return "**unmet**"
}

// number has at most two digits after the point.
func number(f float64) string {
	return strconv.FormatFloat(float64(int(f*100+0.5))/100, 'f', -1, 64)
}
