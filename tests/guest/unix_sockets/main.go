// Unix sockets: streams, datagrams and sequenced packets by path and by abstract name, descriptors passed, credentials,
// deadlines, half-closed connections, many connections at once.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func echo(folder string) {
	path := filepath.Join(folder, "echo")
	listener, err := net.Listen("unix", path)
	check(err)
	information, err := os.Stat(path)
	check(err)
	fmt.Println("listens", listener.Addr().Network(), information.Mode())
	var served sync.WaitGroup
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			served.Add(1)
			go func() {
				defer served.Done()
				defer connection.Close()
				io.Copy(connection, connection)
			}()
		}
	}()
	var clients sync.WaitGroup
	var mutex sync.Mutex
	total := 0
	for client := 0; client < 50; client++ {
		clients.Add(1)
		go func(client int) {
			defer clients.Done()
			connection, err := net.Dial("unix", path)
			check(err)
			sent := bytes.Repeat([]byte{byte(client)}, 1000*client+1)
			go func() {
				_, err := connection.Write(sent)
				check(err)
				connection.(*net.UnixConn).CloseWrite()
			}()
			received, err := io.ReadAll(connection)
			check(err)
			connection.Close()
			if !bytes.Equal(sent, received) {
				fmt.Println("client", client, "got other bytes")
			}
			mutex.Lock()
			total += len(received)
			mutex.Unlock()
		}(client)
	}
	clients.Wait()
	listener.Close()
	served.Wait()
	_, err = os.Stat(path)
	fmt.Println("echoed", total, "bytes; the path is gone:", os.IsNotExist(err))
	_, err = net.Dial("unix", path)
	fmt.Println("nobody there:", errors.Is(err, syscall.ENOENT))
}

func datagrams(folder string) {
	path := filepath.Join(folder, "datagrams")
	server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	check(err)
	client, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@goanna-client", Net: "unixgram"})
	check(err)
	go func() {
		for i := 0; i < 100; i++ {
			_, err := client.WriteToUnix([]byte(fmt.Sprint("message ", i)), &net.UnixAddr{Name: path, Net: "unixgram"})
			check(err)
		}
	}()
	buffer := make([]byte, 100)
	bytes := 0
	var from *net.UnixAddr
	for i := 0; i < 100; i++ {
		count, address, err := server.ReadFromUnix(buffer)
		check(err)
		if string(buffer[:count]) != fmt.Sprint("message ", i) {
			fmt.Println("out of order:", string(buffer[:count]))
		}
		bytes += count
		from = address
	}
	fmt.Println(bytes, "bytes in datagrams from", from)
	server.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, _, err = server.ReadFromUnix(buffer)
	fmt.Println("no more:", errors.Is(err, os.ErrDeadlineExceeded))
	server.Close()
	_, err = client.WriteToUnix([]byte("x"), &net.UnixAddr{Name: path, Net: "unixgram"})
	fmt.Println("server gone:", errors.Is(err, syscall.ECONNREFUSED))
	client.Close()
}

func sequenced() {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	check(err)
	for _, text := range []string{"one", "", "three"} {
		check(syscall.Sendto(pair[0], []byte(text), 0, nil))
	}
	buffer := make([]byte, 2)
	for i := 0; i < 3; i++ {
		count, _, flags, _, err := syscall.Recvmsg(pair[1], buffer, nil, 0)
		fmt.Println("packet", string(buffer[:count]), flags&syscall.MSG_TRUNC != 0, err)
	}
	syscall.Close(pair[0])
	count, err := syscall.Read(pair[1], buffer)
	fmt.Println("closed", count, err)
	fmt.Println("write", syscall.Sendto(pair[1], []byte("x"), syscall.MSG_NOSIGNAL, nil))
	syscall.Close(pair[1])
}

func passing() {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	check(err)
	reader, writer, err := os.Pipe()
	check(err)
	check(syscall.SetsockoptInt(pair[1], syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1))
	check(syscall.Sendmsg(pair[0], []byte("take"), syscall.UnixRights(int(writer.Fd())), nil, 0))
	writer.Close()
	buffer, control := make([]byte, 10), make([]byte, 200)
	count, used, _, _, err := syscall.Recvmsg(pair[1], buffer, control, syscall.MSG_CMSG_CLOEXEC)
	check(err)
	messages, err := syscall.ParseSocketControlMessage(control[:used])
	check(err)
	fmt.Println("received", string(buffer[:count]), len(messages), "control messages")
	for _, message := range messages {
		if credential, err := syscall.ParseUnixCredentials(&message); err == nil {
			fmt.Println("from me:", int(credential.Pid) == os.Getpid(), int(credential.Uid) == os.Getuid())
		}
		if numbers, err := syscall.ParseUnixRights(&message); err == nil {
			passed := os.NewFile(uintptr(numbers[0]), "passed")
			fmt.Fprintln(passed, "through the pipe")
			passed.Close()
		}
	}
	line, err := bufio.NewReader(reader).ReadString('\n')
	fmt.Printf("%q %v\n", line, err)
	partner, err := syscall.GetsockoptUcred(pair[0], syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	check(err)
	fmt.Println("partner", int(partner.Pid) == os.Getpid(), int(partner.Uid) == os.Getuid())
	// Sockets that lie in each other's queues, and nobody has them.
	for i := 0; i < 200; i++ {
		one, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		check(err)
		check(syscall.Sendmsg(one[0], []byte("x"), syscall.UnixRights(one[0], one[1]), nil, 0))
		check(syscall.Sendmsg(one[1], []byte("x"), syscall.UnixRights(one[1]), nil, 0))
		syscall.Close(one[0])
		syscall.Close(one[1])
	}
	syscall.Close(pair[0])
	syscall.Close(pair[1])
}

type Arithmetic int

func (Arithmetic) Add(numbers [2]int, sum *int) error {
	*sum = numbers[0] + numbers[1]
	return nil
}

func servers() {
	listener, err := net.Listen("unix", "@goanna-http")
	check(err)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s", r.URL.Path)
	}))
	client := http.Client{Transport: &http.Transport{
		Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", "@goanna-http") },
	}}
	response, err := client.Get("http://unix/over/there")
	check(err)
	body, err := io.ReadAll(response.Body)
	fmt.Println(response.Status, string(body), err)

	calls, err := net.Listen("unix", "@goanna-rpc")
	check(err)
	server := rpc.NewServer()
	check(server.Register(Arithmetic(0)))
	go server.Accept(calls)
	caller, err := rpc.Dial("unix", "@goanna-rpc")
	check(err)
	total := 0
	for i := 0; i < 500; i++ {
		var sum int
		check(caller.Call("Arithmetic.Add", [2]int{i, 1}, &sum))
		total += sum
	}
	fmt.Println("sum", total)
	caller.Close()
}

func main() {
	folder, err := os.MkdirTemp("", "unix")
	check(err)
	defer os.RemoveAll(folder)
	echo(folder)
	datagrams(folder)
	sequenced()
	passing()
	servers()
}
