// Asks a name server by UDP and by TCP, with miekg/dns and with the standard library's resolver:
//
//	dns NAME [SERVER:PORT]
//
// Without a server, those of /etc/resolv.conf are asked. `dns -test` asks a server of its own on loopback.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/miekg/dns"
)

func main() {
	log.SetFlags(0)
	words := os.Args[1:]
	if len(words) == 1 && words[0] == "-test" {
		words = []string{"many.example.test", startServer()}
	}
	if len(words) < 1 || len(words) > 2 {
		log.Fatal("dns NAME [SERVER:PORT]")
	}
	name, server := words[0], ""
	if len(words) == 2 {
		server = words[1]
	} else {
		configuration, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(configuration.Servers) == 0 {
			log.Fatal("no name server is configured: ", err)
		}
		server = net.JoinHostPort(configuration.Servers[0], configuration.Port)
	}
	for _, network := range []string{"udp", "tcp"} {
		ask(network, name, server)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		fmt.Println("net.Resolver goes by", network)
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	found, err := resolver.LookupNetIP(context.Background(), "ip4", name)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("net.Resolver:", len(found), "addresses")
}

// ask asks for the IPv4 addresses of a name and prints them. An answer that doesn't fit a datagram is said to be cut off.
func ask(network, name, server string) {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	client := dns.Client{Net: network, Timeout: 5 * time.Second}
	answer, _, err := client.Exchange(question, server)
	if err != nil {
		log.Fatal(err)
	}
	var addresses []string
	for _, record := range answer.Answer {
		if a, ok := record.(*dns.A); ok {
			addresses = append(addresses, a.A.String())
		}
	}
	sort.Strings(addresses)
	cut := ""
	if answer.Truncated {
		cut = ", cut off"
	}
	fmt.Printf("%s: %s, %d addresses%s\n", network, dns.RcodeToString[answer.Rcode], len(addresses), cut)
	if len(addresses) > 0 {
		fmt.Println(" ", strings.Join(addresses[:min(len(addresses), 4)], " "))
	}
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

// startServer serves on loopback, by UDP and TCP, a name with more addresses than fit a datagram of 512 bytes, and gives
// its address.
func startServer() string {
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		name := question.Question[0].Name
		if name != "many.example.test." {
			answer.Rcode = dns.RcodeNameError
		} else if question.Question[0].Qtype == dns.TypeA {
			for number := 1; number <= 100; number++ {
				header := dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}
				answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: net.IPv4(192, 0, 2, byte(number))})
			}
		}
		if _, datagram := w.LocalAddr().(*net.UDPAddr); datagram {
			answer.Truncate(dns.MinMsgSize)
		}
		w.WriteMsg(answer)
	})
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	streams, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal((&dns.Server{PacketConn: packets, Handler: handler}).ActivateAndServe()) }()
	go func() { log.Fatal((&dns.Server{Listener: streams, Handler: handler}).ActivateAndServe()) }()
	return packets.LocalAddr().String()
}
