package faults

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/kluster-project/kluster/internal/fault"
)

// burn keeps processors busy.
func burn(ctx context.Context, m *Machine, o fault.Order) error {
	n := runtime.NumCPU()
	if text := o.Params[fault.ParamCPUs]; text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			return err
		}
	}
	runtime.GOMAXPROCS(n + 1) // and one to hear of the end
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				for range 1 << 20 {
				}
			}
		})
	}
	m.Ready()
	all.Wait()
	return nil
}

const (
	// left is the part of a node's memory that a fault without a size takes.
	left = 0.9
	// hostReserve is what the host must have left where a node has no limit.
	hostReserve = 1 << 30
)

// checkMemory sees that there is as much, so that nothing but pressure comes of it, and
// nothing outside the node is killed.
func checkMemory(_ context.Context, m *Machine, o fault.Order) error {
	_, err := m.sizeOf(o)
	return err
}

// sizeOf is how many bytes a fault takes.
func (m *Machine) sizeOf(o fault.Order) (int64, error) {
	wanted := int64(0)
	if text := o.Params[fault.ParamSize]; text != "" {
		var err error
		if wanted, err = fault.Size(text); err != nil {
			return 0, err
		}
	}
	free, limited, err := m.freeMemory()
	switch {
	case err != nil:
		return 0, err
	case !limited && wanted == 0:
		return 0, refuse("it has no limit of its own (memory), so say how much: --%s", fault.ParamSize)
	case wanted == 0:
		return int64(left * float64(free)), nil
	case wanted > free:
		return 0, refuse("it has %d MiB left to take, less than %d MiB", free>>20, wanted>>20)
	}
	return wanted, nil
}

// memoryFiles are a node's limit and use by version of cgroups.
var memoryFiles = [][2]string{
	{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
	{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
}

// freeMemory is what the node can still take: up to its limit, else what the host has
// without a reserve.
func (m *Machine) freeMemory() (free int64, limited bool, err error) {
	host, err := m.available()
	if err != nil {
		return 0, false, err
	}
	free = max(0, host-hostReserve)
	for _, files := range memoryFiles {
		limit, used := m.number(files[0]), m.number(files[1])
		// Version 1 has a limit near the largest number where there is none.
		if limit > 0 && limit < math.MaxInt64/2 {
			return min(free, max(0, limit-used)), true, nil
		}
	}
	return free, false, nil
}

// number is that of a file of one number; 0 if it holds none.
func (m *Machine) number(file string) int64 {
	text, err := os.ReadFile(m.path(file))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(trimmed(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// available is the memory that the host can give without swapping.
func (m *Machine) available() (int64, error) {
	text, err := os.ReadFile(m.path("/proc/meminfo"))
	if err != nil {
		return 0, fmt.Errorf("reading what memory there is: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemAvailable:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("reading what memory there is: no MemAvailable")
}

// fill takes memory and keeps it.
func fill(ctx context.Context, m *Machine, o fault.Order) error {
	size, err := m.sizeOf(o)
	if err != nil {
		return err
	}
	taken, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("taking %d MiB of memory: %w", size>>20, err)
	}
	// A page is there when something was written to it.
	for at := 0; at < len(taken) && ctx.Err() == nil; at += os.Getpagesize() {
		taken[at] = 1
	}
	m.Ready()
	<-ctx.Done()
	return unix.Munmap(taken)
}
