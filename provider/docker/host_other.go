//go:build !linux

package docker

import "os"

// growPipe does nothing: elsewhere pipes are what they are.
func growPipe(*os.File) {}

// listenerPID is 0: elsewhere the engine runs in a virtual machine.
func listenerPID(string) int { return 0 }

// freeBytes is 0: the engine's folder is inside the virtual machine.
func freeBytes(string) int64 { return 0 }
