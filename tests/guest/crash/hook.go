package main

import "os"

// setOutput is debug.SetCrashOutput where the Go version has it (1.23).
var setOutput func(*os.File) error
