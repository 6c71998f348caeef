// A program that Prometheus can scrape: its own counters, and those of the Go runtime and of the process.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	requests := promauto.NewCounterVec(
		prometheus.CounterOpts{Name: "example_requests_total", Help: "Requests answered, by status."},
		[]string{"code"},
	)
	seconds := promauto.NewHistogramVec(
		prometheus.HistogramOpts{Name: "example_request_seconds", Help: "How long answers took, by method."},
		[]string{"method"},
	)
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintln(w, "Hello; what is counted is at /metrics")
	})
	http.Handle("/", promhttp.InstrumentHandlerDuration(seconds, promhttp.InstrumentHandlerCounter(requests, hello)))
	http.Handle("/metrics", promhttp.Handler())
	listener, err := net.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("serving on :8080")
	log.Fatal(http.Serve(listener, nil))
}
