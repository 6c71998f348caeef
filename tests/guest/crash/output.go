//go:build go1.23

package main

import (
	"os"
	"runtime/debug"
)

func init() {
	setOutput = func(file *os.File) error { return debug.SetCrashOutput(file, debug.CrashOptions{}) }
}
