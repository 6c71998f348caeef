// A program on a network: it tells what it finds there when it starts, and gives back what it gets on port 9000, by UDP
// and by TCP, until somebody sends it "end". "quiet" has it listen to nobody; "meet NAME" calls another machine of
// this program, by both families, and ends when that has called, too.
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
	if len(os.Args) == 2 {
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
	if len(os.Args) == 3 {
		meet(listener, os.Args[2])
	}
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

func meet(listener net.Listener, name string) {
	done := make(chan bool)
	go func() {
		for i := 0; i < 2; i++ {
			connection, err := listener.Accept()
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			io.Copy(connection, connection)
			connection.Close()
		}
		done <- true
	}()
	for _, family := range []string{"tcp4", "tcp6"} {
		connection, err := net.Dial(family, name+":9000")
		for start := time.Now(); err != nil && time.Since(start) < time.Minute; {
			time.Sleep(50 * time.Millisecond)
			connection, err = net.Dial(family, name+":9000")
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go connection.Write(make([]byte, 1<<13))
		count, err := io.CopyN(io.Discard, connection, 1<<13)
		connection.Close() // what the other one waits for before it ends, and its machine with it
		fmt.Println(family, name, count, err)
	}
	<-done
	hosts, err := os.ReadFile("/etc/hosts")
	fmt.Printf("%s%v\n", hosts, err)
	os.Exit(0)
}
