// A program on a network: it tells what it finds there when it starts, and gives back what it gets on port 9000, by UDP
// and by TCP, until somebody sends it "end". "quiet" has it listen to nobody.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

func main() {
	servers, err := os.ReadFile("/etc/resolv.conf")
	name, _ := os.Hostname()
	fmt.Printf("%s%s %v\n", servers, name, err)
	if len(os.Args) > 1 {
		time.Sleep(time.Hour)
	}
	listener, err := net.Listen("tcp", ":9000")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	datagrams, err := net.ListenPacket("udp", ":9000")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go echo(datagrams)
	fmt.Println("ready")
	for {
		connection, err := listener.Accept()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go func() {
			io.Copy(connection, connection)
			connection.Close()
		}()
	}
}

func echo(datagrams net.PacketConn) {
	buffer := make([]byte, 65536)
	for {
		n, from, err := datagrams.ReadFrom(buffer)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if string(buffer[:n]) == "end" {
			os.Exit(7)
		}
		datagrams.WriteTo(buffer[:n], from)
	}
}
