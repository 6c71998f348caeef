// TCP and UDP over loopback, IPv4 and IPv6: HTTP, many connections at once, half-closed and reset ones, refused ones,
// deadlines, closed listeners, transfers with checksums, copies from connection to connection and from files, names of
// /etc/hosts.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"
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

// reason gives the errno, or the class, of an error: addresses and ports in its text differ.
func reason(err error) string {
	var number syscall.Errno
	switch {
	case err == nil:
		return "nil"
	case errors.As(err, &number):
		return number.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "deadline exceeded"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	}
	return err.Error()
}

func pair(network string) (client, server *net.TCPConn) {
	address := "127.0.0.1:0"
	if network == "tcp6" {
		address = "[::1]:0"
	}
	listener, err := net.Listen(network, address)
	check(err)
	defer listener.Close()
	made, err := net.Dial(network, listener.Addr().String())
	check(err)
	other, err := listener.Accept()
	check(err)
	if made.LocalAddr().String() != other.RemoteAddr().String() {
		fmt.Println("error: the ends do not agree")
	}
	return made.(*net.TCPConn), other.(*net.TCPConn)
}

func web(address string) {
	listener, err := net.Listen("tcp", address)
	check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		check(err)
		w.Write(body)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, os.Args[0]) })
	server := &http.Server{Handler: mux}
	go server.Serve(listener)
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	client := &http.Client{Transport: transport}
	var clients sync.WaitGroup
	for number := 0; number < 16; number++ {
		clients.Add(1)
		go func(number int) {
			defer clients.Done()
			for turn := 0; turn < 8; turn++ {
				sent := bytes.Repeat([]byte{byte(number)}, number*turn*300+1)
				answer, err := client.Post("http://"+listener.Addr().String()+"/echo", "text/plain", bytes.NewReader(sent))
				check(err)
				body, err := io.ReadAll(answer.Body)
				check(err)
				answer.Body.Close()
				if !bytes.Equal(sent, body) {
					fmt.Println("error: another body")
				}
			}
		}(number)
	}
	clients.Wait()
	answer, err := client.Get("http://" + listener.Addr().String() + "/file")
	check(err)
	hash := sha256.New()
	count, err := io.Copy(hash, answer.Body)
	check(err)
	content, err := os.ReadFile(os.Args[0])
	check(err)
	sum := sha256.Sum256(content)
	fmt.Println("file served whole:", count == int64(len(content)), bytes.Equal(hash.Sum(nil), sum[:]))
	transport.CloseIdleConnections()
	check(server.Shutdown(context.Background()))
	_, err = net.Dial("tcp", listener.Addr().String())
	fmt.Println("after shutdown:", reason(err))
}

func bulk(network string) {
	client, server := pair(network)
	const size = 8 << 20
	sent := make([]byte, size)
	for index := range sent {
		sent[index] = byte(index * 7 >> 3)
	}
	go func() {
		io.Copy(server, server)
		server.CloseWrite()
	}()
	go func() {
		_, err := client.Write(sent)
		check(err)
		check(client.CloseWrite())
	}()
	got, err := io.ReadAll(client)
	check(err)
	fmt.Println(network, "bulk:", len(got), bytes.Equal(got, sent))
	client.Close()
	server.Close()
}

// relay copies from connection to connection, which Go does by splice.
func relay() {
	from, in := pair("tcp4")
	out, to := pair("tcp6")
	go func() {
		count, err := io.Copy(out, in)
		check(err)
		fmt.Println("relayed", count)
		out.CloseWrite()
	}()
	sent := bytes.Repeat([]byte("through a pipe and out again. "), 50000)
	go func() {
		from.Write(sent)
		from.CloseWrite()
	}()
	got, err := io.ReadAll(to)
	check(err)
	fmt.Println("relay:", bytes.Equal(got, sent))
	for _, each := range []*net.TCPConn{from, in, out, to} {
		each.Close()
	}
}

// files goes by sendfile and splice between sockets and files.
func files(folder string) {
	path := filepath.Join(folder, "content")
	content := bytes.Repeat([]byte("0123456789abcdef"), 40000)
	check(os.WriteFile(path, content, 0o600))
	client, server := pair("tcp4")
	file, err := os.Open(path)
	check(err)
	go func() {
		_, err := io.Copy(client, file)
		check(err)
		client.CloseWrite()
	}()
	copied, err := os.Create(filepath.Join(folder, "copy"))
	check(err)
	count, err := io.Copy(copied, server)
	check(err)
	check(copied.Close())
	got, err := os.ReadFile(filepath.Join(folder, "copy"))
	check(err)
	fmt.Println("files:", count, bytes.Equal(got, content))
	client.Close()
	server.Close()
}

func endings() {
	client, server := pair("tcp4")
	check(client.CloseWrite())
	buffer := make([]byte, 10)
	_, err := server.Read(buffer)
	fmt.Println("half-closed:", err)
	_, err = server.Write([]byte("still"))
	check(err)
	count, err := client.Read(buffer)
	fmt.Println("read", string(buffer[:count]), reason(err))
	_, err = client.Write([]byte("x"))
	fmt.Println("write after CloseWrite:", reason(err))
	server.Close()
	_, err = client.Read(buffer)
	fmt.Println("then:", err)
	client.Close()

	client, server = pair("tcp4")
	check(client.SetLinger(0))
	check(client.Close())
	_, err = server.Read(buffer)
	fmt.Println("reset:", reason(err))
	server.Close()

	client, server = pair("tcp6")
	_, err = client.Write([]byte("read but for its end"))
	check(err)
	_, err = server.Read(buffer[:4])
	check(err)
	check(server.Close())
	_, err = client.Read(buffer)
	fmt.Println("closed with unread data:", reason(err))
	_, err = client.Write(buffer)
	fmt.Println("write:", reason(err))
	client.Close()

	client, server = pair("tcp4")
	check(client.SetReadDeadline(time.Now().Add(20 * time.Millisecond)))
	_, err = client.Read(buffer)
	fmt.Println("read:", reason(err))
	check(client.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)))
	full := make([]byte, 64<<20)
	_, err = client.Write(full)
	fmt.Println("write to one who does not read:", reason(err))
	go func() {
		time.Sleep(20 * time.Millisecond)
		server.Close()
	}()
	_, err = server.Read(make([]byte, 1))
	for err == nil {
		_, err = server.Read(make([]byte, 1<<20))
	}
	fmt.Println("closed while reading:", reason(err))
	client.Close()
}

func listeners() {
	_, err := net.Dial("tcp", "127.0.0.1:1")
	fmt.Println("nobody listens:", reason(err))
	_, err = net.Dial("tcp", "[::1]:1")
	fmt.Println("nobody listens:", reason(err))
	_, err = net.DialTimeout("tcp", "192.0.2.1:1", 10*time.Second)
	fmt.Println("no way there:", err != nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	_, err = net.Listen("tcp", listener.Addr().String())
	fmt.Println("listened twice:", reason(err))
	closed := make(chan bool)
	go func() {
		time.Sleep(20 * time.Millisecond)
		listener.Close()
		close(closed)
	}()
	_, err = listener.Accept()
	fmt.Println("closed while accepting:", reason(err))
	<-closed
	again, err := net.Listen("tcp", listener.Addr().String())
	check(err)
	again.Close()

	both, err := net.Listen("tcp", ":0")
	check(err)
	port := netip.MustParseAddrPort(strings.Replace(both.Addr().String(), "[::]", "[::1]", 1)).Port()
	for _, address := range []string{"127.0.0.1", "::1", "localhost"} {
		made, err := net.Dial("tcp", net.JoinHostPort(address, fmt.Sprint(port)))
		check(err)
		other, err := both.Accept()
		check(err)
		host, _, _ := net.SplitHostPort(other.RemoteAddr().String())
		fmt.Println("dual:", address != "localhost" && host == address || address == "localhost")
		made.Close()
		other.Close()
	}
	both.Close()
}

func many() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(connection, connection)
				connection.Close()
			}()
		}
	}()
	var clients sync.WaitGroup
	var mutex sync.Mutex
	total := 0
	for client := 0; client < 100; client++ {
		clients.Add(1)
		go func(client int) {
			defer clients.Done()
			for turn := 0; turn < 3; turn++ {
				connection, err := net.Dial("tcp", listener.Addr().String())
				check(err)
				sent := bytes.Repeat([]byte{byte(client)}, client*100+1)
				go func() {
					connection.Write(sent)
					connection.(*net.TCPConn).CloseWrite()
				}()
				got, err := io.ReadAll(connection)
				check(err)
				connection.Close()
				if !bytes.Equal(got, sent) {
					fmt.Println("error: other bytes")
				}
				mutex.Lock()
				total += len(got)
				mutex.Unlock()
			}
		}(client)
	}
	clients.Wait()
	listener.Close()
	fmt.Println("many:", total)
}

func datagrams(network, address string) {
	server, err := net.ListenPacket(network, address)
	check(err)
	go func() {
		buffer := make([]byte, 65536)
		for {
			count, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			server.WriteTo(buffer[:count], from)
		}
	}()
	client, err := net.Dial(network, server.LocalAddr().String())
	check(err)
	lengths := []int{}
	for _, size := range []int{0, 1, 1400, 9000, 65507 - 20} {
		_, err := client.Write(bytes.Repeat([]byte{7}, size))
		check(err)
		buffer := make([]byte, 65536)
		client.SetReadDeadline(time.Now().Add(10 * time.Second))
		count, err := client.Read(buffer)
		check(err)
		lengths = append(lengths, count)
	}
	sort.Ints(lengths)
	fmt.Println(network, lengths)
	_, err = client.Write(make([]byte, 70000))
	fmt.Println("too long:", reason(err))
	server.Close()
	client.Write([]byte("nobody"))
	client.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err = client.Read(make([]byte, 10))
	fmt.Println("nobody there:", reason(err))
	client.Close()
}

func names() {
	found, err := net.LookupHost("localhost")
	check(err)
	sort.Strings(found)
	fmt.Println("localhost:", strings.Contains(strings.Join(found, " "), "127.0.0.1"))
	loopback, err := net.InterfaceByName("lo")
	check(err)
	addresses, err := loopback.Addrs()
	check(err)
	fmt.Println(loopback.Index, loopback.MTU, loopback.Name, loopback.HardwareAddr, loopback.Flags, addresses)
	port, err := net.LookupPort("tcp", "http")
	fmt.Println("http:", port, err)
}

func main() {
	folder, err := os.MkdirTemp("", "internet")
	check(err)
	defer os.RemoveAll(folder)
	web("127.0.0.1:0")
	web("[::1]:0")
	bulk("tcp4")
	bulk("tcp6")
	relay()
	files(folder)
	endings()
	listeners()
	many()
	datagrams("udp4", "127.0.0.1:0")
	datagrams("udp6", "[::1]:0")
	names()
}
