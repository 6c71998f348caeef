// An SSH server: whoever has one of the keys in /authorized_keys gets a line editor that knows a few words, or runs one
// of them (`ssh HOST time`). Without such a file everybody may.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/gliderlabs/ssh"
	"golang.org/x/term"
)

var started = time.Now()

func main() {
	server := ssh.Server{Handler: session}
	if keys, err := os.ReadFile("/authorized_keys"); err == nil {
		server.PublicKeyHandler = func(_ ssh.Context, offered ssh.PublicKey) bool { return listed(keys, offered) }
	}
	listener, err := net.Listen("tcp", ":2222")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("serving on :2222")
	log.Fatal(server.Serve(listener))
}

func listed(keys []byte, offered ssh.PublicKey) bool {
	for len(keys) > 0 {
		known, _, _, rest, err := ssh.ParseAuthorizedKey(keys)
		if err != nil {
			return false
		}
		if ssh.KeysEqual(known, offered) {
			return true
		}
		keys = rest
	}
	return false
}

func session(s ssh.Session) {
	if words := s.Command(); len(words) > 0 {
		if !run(s, strings.Join(words, " ")) {
			s.Exit(127)
		}
		return
	}
	fmt.Fprintf(s, "Hello %s. Words: time, up, version, exit\r\n", s.User())
	lines := term.NewTerminal(s, "> ")
	for {
		line, err := lines.ReadLine()
		if err != nil || line == "exit" {
			return
		}
		if !run(lines, line) {
			fmt.Fprintf(lines, "no such word: %q\n", line)
		}
	}
}

func run(w io.Writer, word string) bool {
	switch word {
	case "time":
		fmt.Fprintln(w, time.Now().UTC().Format(time.RFC3339))
	case "up":
		fmt.Fprintln(w, time.Since(started).Round(time.Second))
	case "version":
		fmt.Fprintln(w, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	default:
		return false
	}
	return true
}
