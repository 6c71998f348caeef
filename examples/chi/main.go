// A small service with a router, middleware and JSON: notes that are kept as long as the machine runs.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

type notes struct {
	mutex sync.Mutex
	texts []string
}

func main() {
	var kept notes
	router := chi.NewRouter()
	router.Use(middleware.RequestID, middleware.Logger, middleware.Recoverer, middleware.Timeout(10*time.Second))
	router.Route("/notes", func(r chi.Router) {
		r.Get("/", kept.list)
		r.Post("/", kept.add)
		r.Get("/{number}", kept.one)
	})
	listener, err := net.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("serving on :8080")
	log.Fatal(http.Serve(listener, router))
}

func (n *notes) list(w http.ResponseWriter, _ *http.Request) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	answer(w, http.StatusOK, n.texts)
}

func (n *notes) add(w http.ResponseWriter, r *http.Request) {
	var text string
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&text); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.texts = append(n.texts, text)
	answer(w, http.StatusCreated, len(n.texts))
}

func (n *notes) one(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(chi.URLParam(r, "number"))
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if err != nil || number < 1 || number > len(n.texts) {
		http.NotFound(w, r)
		return
	}
	answer(w, http.StatusOK, n.texts[number-1])
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}
