// A web server of nothing but the standard library: it greets, says what it was asked, and how long it has been up.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"
)

func main() {
	started := time.Now()
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		host, _ := os.Hostname()
		fmt.Fprintf(w, "Hello from %s on %s/%s at %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, host)
		fmt.Fprintf(w, "%s %s for %s, up %s\n", r.Method, r.URL, r.RemoteAddr, time.Since(started).Round(time.Second))
	})
	address := ":8080"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("serving on %s\n", address)
	log.Fatal(http.Serve(listener, nil))
}
