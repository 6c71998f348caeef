// Fetches addresses of the web, checks certificates against the roots in the image, and says what it found.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("fetch URL...")
	}
	client := http.Client{Timeout: 20 * time.Second}
	failed := false
	for _, url := range os.Args[1:] {
		if err := fetch(&client, url); err != nil {
			log.Print(err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

func fetch(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	size, err := io.Copy(io.Discard, response.Body)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s, %s, %d bytes\n", url, response.Status, response.Proto, size)
	if state := response.TLS; state != nil {
		leaf := state.PeerCertificates[0]
		roots := state.VerifiedChains[0]
		fmt.Printf("  %s, %s, trusted by %s\n",
			tls.VersionName(state.Version), leaf.Subject.CommonName, roots[len(roots)-1].Subject.CommonName)
	}
	return nil
}
