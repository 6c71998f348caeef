// Arguments prints its arguments and part of its environment, and exits with the status it is told to.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	status, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	for i, argument := range os.Args[1:] {
		fmt.Printf("%d %q\n", i, argument)
	}
	for _, name := range []string{"COLOUR", "EMPTY", "WITH_EQUALS", "UNSET"} {
		value, set := os.LookupEnv(name)
		fmt.Printf("%s %q %t\n", name, value, set)
	}
	os.Setenv("COLOUR", "changed")
	fmt.Println(os.ExpandEnv("now ${COLOUR}"))
	defer fmt.Println("a deferred call that os.Exit must not run")
	os.Exit(status)
}
