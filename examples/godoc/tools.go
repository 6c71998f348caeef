//go:build tools

// Package tools says which program this module is about, so that go.mod keeps its version.
package tools

import _ "golang.org/x/tools/cmd/godoc"
