//go:build go1.23

package main

import (
	"fmt"
	"os"
)

func copyTree() {
	check("CopyFS", os.CopyFS("tree-copy", os.DirFS("tree")))
	entries, err := os.ReadDir("tree-copy/2")
	fmt.Println(len(entries), err)
}
