// Evaluates CUE files: puts them together, checks them, and prints the value as JSON, as `cue export` does. Faults are
// said with the lines they are in, and the status is 1.
package main

import (
	"fmt"
	"log"
	"os"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("cue FILE...")
	}
	context := cuecontext.New()
	value := context.CompileString("{}")
	for _, name := range os.Args[1:] {
		text, err := os.ReadFile(name)
		if err != nil {
			log.Fatal(err)
		}
		value = value.Unify(context.CompileBytes(text, cue.Filename(name)))
	}
	if err := value.Validate(cue.Concrete(true)); err != nil {
		log.Fatal(errors.Details(err, nil))
	}
	text, err := value.MarshalJSON()
	if err != nil {
		log.Fatal(errors.Details(err, nil))
	}
	fmt.Println(string(text))
}
