// What the network benchmarks talk to: a web server of the standard library, bulk senders and receivers, a UDP echo, and
// a port that tells what the machine has counted. The same program is measured in an image and as the /init of Linux.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Ports: benchmarks/network_machine.py has the same.
const (
	web = iota + 8080
	sink
	source
	echo
	facts
	idle
)

var started = time.Now()

func main() {
	if os.Getpid() == 1 {
		// Linux leaves this to its first program; an image has it already, and says so.
		syscall.Mount("proc", "/proc", "proc", 0, "")
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Hello, world\n") })
	serve(sink, receive)
	serve(source, send)
	serve(facts, tell)
	echoDatagrams()
	go keepIdle()
	listener, err := net.Listen("tcp", port(web))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("serving")
	log.Fatal(http.Serve(listener, nil))
}

func port(number int) string { return fmt.Sprintf(":%d", number) }

// serve greets who connects with a byte and does the rest as `each` says.
func serve(number int, each func(net.Conn)) {
	listener, err := net.Listen("tcp", port(number))
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go func() {
				defer connection.Close()
				connection.Write([]byte{0})
				each(connection)
			}()
		}
	}()
}

// receive reads until the peer has sent all, and answers how many bytes those were.
func receive(connection net.Conn) {
	buffer := make([]byte, 1<<16)
	var total uint64
	for {
		count, err := connection.Read(buffer)
		total += uint64(count)
		if err != nil {
			break
		}
	}
	binary.Write(connection, binary.BigEndian, total)
}

// send writes as many bytes as the peer asks for.
func send(connection net.Conn) {
	var total uint64
	if binary.Read(connection, binary.BigEndian, &total) != nil {
		return
	}
	block := make([]byte, 1<<16)
	for total > 0 {
		count, err := connection.Write(block[:min(total, uint64(len(block)))])
		if err != nil {
			return
		}
		total -= uint64(count)
	}
}

func min(a, b uint64) uint64 {
	if a < b {
		return a
	}
	return b
}

func echoDatagrams() {
	connection, err := net.ListenUDP("udp4", &net.UDPAddr{Port: echo})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		buffer := make([]byte, 2048)
		for {
			count, peer, err := connection.ReadFromUDPAddrPort(buffer)
			if err == nil {
				connection.WriteToUDPAddrPort(buffer[:count], peer)
			}
		}
	}()
}

// tell answers each line with what the machine has counted: nanoseconds since some moment, of which so many it was idle,
// packets received and sent, and KiB of memory that are free.
func tell(connection net.Conn) {
	for lines := bufio.NewScanner(connection); lines.Scan(); {
		if lines.Text() == "collect" {
			runtime.GC()
		}
		idle, _ := strconv.ParseFloat(fields("/proc/uptime", "")[1], 64)
		device := fields("/proc/net/dev", "eth0:")
		free := fields("/proc/meminfo", "MemFree:")
		fmt.Fprintln(connection, time.Since(started).Nanoseconds(), int64(idle*1e9), device[2], device[10], free[1])
	}
}

// fields are the words of the first line of a file that begins so.
func fields(path, start string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, start) {
			return strings.Fields(line)
		}
	}
	return nil
}

// keepIdle accepts connections, greets with a byte, and does nothing more with them, not even in Go's runtime: what they cost is the kernel's.
func keepIdle() {
	runtime.LockOSThread()
	listener, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		err = syscall.Bind(listener, &syscall.SockaddrInet4{Port: idle})
	}
	if err == nil {
		err = syscall.Listen(listener, 4096)
	}
	if err != nil {
		log.Fatal(err)
	}
	limit := syscall.Rlimit{Cur: 20000, Max: 20000}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Fatal(err)
	}
	for {
		connection, _, err := syscall.Accept4(listener, 0)
		if err != nil {
			log.Fatal(err)
		}
		syscall.Write(connection, []byte{0})
	}
}
