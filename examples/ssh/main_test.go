package main

import (
	"flag"
	"net"
	"strings"
	"testing"

	"github.com/gliderlabs/ssh"
	client "golang.org/x/crypto/ssh"
)

var address = flag.String("address", "", "of a server that runs; without it, one is started here")

func dial(t *testing.T) *client.Client {
	where := *address
	if where == "" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := ssh.Server{Handler: session}
		go server.Serve(listener)
		t.Cleanup(func() { server.Close() })
		where = listener.Addr().String()
	}
	settings := client.ClientConfig{User: "somebody", HostKeyCallback: client.InsecureIgnoreHostKey()}
	connection, err := client.Dial("tcp", where, &settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func TestCommand(t *testing.T) {
	connection := dial(t)
	for word, wanted := range map[string]string{"version": "go1.", "time": "T"} {
		session, err := connection.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if output, err := session.Output(word); err != nil || !strings.Contains(string(output), wanted) {
			t.Errorf("%s: %q %v", word, output, err)
		}
	}
	session, err := connection.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	status, ok := session.Run("nothing").(*client.ExitError)
	if !ok || status.ExitStatus() != 127 {
		t.Error(status)
	}
}

func TestTerminal(t *testing.T) {
	session, err := dial(t).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	session.Stdin = strings.NewReader("up\rnothing\rexit\r")
	output, err := session.Output("")
	if err != nil || !strings.Contains(string(output), "Hello somebody") ||
		!strings.Contains(string(output), `no such word: "nothing"`) {
		t.Errorf("%q %v", output, err)
	}
}
