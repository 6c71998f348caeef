// Stdin reads its standard input: all of it, byte for byte; by lines; or a little of it.
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
)

func main() {
	switch os.Args[1] {
	case "copy":
		copied, err := io.Copy(os.Stdout, os.Stdin)
		fmt.Println("\ncopied:", copied, err)
		n, err := os.Stdin.Read(make([]byte, 10))
		fmt.Println("after the end:", n, err)
	case "sum":
		data, err := io.ReadAll(os.Stdin)
		fmt.Printf("%d bytes, %x, %v\n", len(data), sha256.Sum256(data), err)
	case "lines":
		scanner := bufio.NewScanner(os.Stdin)
		for number := 1; scanner.Scan(); number++ {
			fmt.Printf("%d: %q\n", number, scanner.Text())
		}
		fmt.Println("end:", scanner.Err())
	case "little":
		data := make([]byte, 5)
		n, err := io.ReadFull(os.Stdin, data)
		fmt.Printf("%d %q %v\n", n, data, err)
		os.Exit(3)
	}
}
