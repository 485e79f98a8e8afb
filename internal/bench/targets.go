package bench

// target is what a figure has to reach, and what it is meant to reach.
type target struct {
	must, aim float64
	// atLeast: more is better.
	atLeast bool
}

const (
	megabyte = 1e6
	gigabyte = 1e9
)

// targets of kluster's figures, by their names.
var targets = map[string]target{
	"1 node: all Ready / floor":                               {must: 4, aim: 2.5},
	"3 control planes: all Ready / floor":                     {must: 7, aim: 4},
	"1 node: usable after Ready / floor":                      {must: 2, aim: 0.5},
	"1 control plane, 2 workers: usable after Ready / floor":  {must: 2, aim: 0.5},
	"3 control planes: usable after Ready / floor":            {must: 2, aim: 0.5},
	"3 control planes, 3 workers: usable after Ready / floor": {must: 2, aim: 0.5},
	"1 node: all Ready, kind / kluster":                       {must: 3.5, aim: 5, atLeast: true},
	"3 control planes: all Ready, kind / kluster":             {must: 5, aim: 8, atLeast: true},
	"1 control plane, 2 workers: disk per worker":             {must: 30 * megabyte, aim: 5 * megabyte},
	"3 control planes: memory, idle":                          {must: 1.4 * gigabyte, aim: 1.15 * gigabyte},
	"node image, uncompressed":                                {must: 1.3 * gigabyte, aim: 0.9 * gigabyte},
	"3 control planes: delete":                                {must: 1.5, aim: 0.6},
}

// recorded is what kind was once seen to need, on another machine with two
// cores; low and high are equal where one value was kept. It stands in where
// kind cannot run, and is always marked as recorded.
type recorded struct{ low, high float64 }

// mid stands for the range in quotients.
func (r recorded) mid() float64 { return (r.low + r.high) / 2 }

// recordedKind is kind v0.33 (three control planes: v0.30) by figure. Its images
// are not unpacked in its node image.
var recordedKind = map[string]recorded{
	"floor":                                       {2.0, 3.0},
	"1 node: all Ready / floor":                   {14, 14},
	"3 control planes: all Ready / floor":         {36, 36},
	"1 node: all Ready":                           {29, 34},
	"1 control plane, 2 workers: create returned": {37, 39},
	"3 control planes: all Ready":                 {72, 80},
	"1 node: delete":                              {1.2, 3.5},
	"3 control planes: delete":                    {2.9, 3.5},
	"1 node: memory, idle":                        {0.52 * gigabyte, 0.52 * gigabyte},
	"3 control planes: memory, idle":              {1.55 * gigabyte, 1.55 * gigabyte},
	"1 node: disk per control plane":              {1.37 * gigabyte, 1.37 * gigabyte},
	"1 control plane, 2 workers: disk per worker": {1.37 * gigabyte, 1.37 * gigabyte},
	"node image, uncompressed":                    {0.94 * gigabyte, 1.33 * gigabyte},
}
