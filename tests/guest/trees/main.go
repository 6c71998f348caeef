// Walks /proc and /sys, reads every file to its end, and prints what each looks like: its kind, how opening and reading
// it went, and the shape of its lines. tests/boot/test_trees.py compares that with Linux.
//
// Without arguments it walks. With "look" it looks at the paths that standard input names, one a line.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// A Look is what one path looks like.
type Look struct {
	Path   string
	Kind   string   // of ModeType and permissions, as ls shows it
	Error  string   // of open or the first read that failed
	Lines  int      // how many
	Shapes []string // of the lines, each once
}

const most = 300 // shapes kept of a file, and bytes of a file without lines that are looked at

var (
	number = regexp.MustCompile(`[0-9]+`)
	device = regexp.MustCompile(`\b[0-9a-f]{2}:[0-9a-f]{2}\b`)
	list   = regexp.MustCompile(`\bN([-,]N)+\b`)
	hexes  = regexp.MustCompile(`\b(0x)?[0-9a-f]*[0-9][0-9a-f]*\b`)
	key    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_() ]*[:\t]`)
	words  = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_.+/-]*`)
)

// shape gives a line with numbers as N and words as W, but for the key that it begins with.
func shape(line string) string {
	head := key.FindString(line)
	if head == "" && strings.Count(strings.TrimSpace(line), " ") == 1 {
		if first, _, _ := strings.Cut(line, " "); words.MatchString(first) && !strings.HasPrefix(first, "/") {
			head = first + " "
		}
	}
	rest := device.ReplaceAllString(line[len(head):], "N:N")
	rest = hexes.ReplaceAllString(rest, "N")
	rest = number.ReplaceAllString(rest, "N")
	rest = list.ReplaceAllString(rest, "N")
	rest = words.ReplaceAllStringFunc(rest, func(word string) string {
		if strings.Trim(word, "N") == "" {
			return "N"
		}
		return "W"
	})
	return head + strings.Join(strings.Fields(rest), " ")
}

func look(path string) Look {
	at := Look{Path: path}
	information, err := os.Lstat(path)
	if err != nil {
		at.Error = errorOf(err)
		return at
	}
	at.Kind = information.Mode().String()
	switch {
	case information.Mode()&fs.ModeSymlink != 0:
		if _, err := os.Readlink(path); err != nil {
			at.Error = errorOf(err)
		}
	case information.IsDir():
		if _, err := os.ReadDir(path); err != nil {
			at.Error = errorOf(err)
		}
	case information.Mode().IsRegular() && information.Mode()&0o444 != 0:
		read(path, &at)
	}
	return at
}

func read(path string, at *Look) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		at.Error = errorOf(err)
		return
	}
	defer file.Close()
	text := []byte{}
	buffer := make([]byte, 1000) // several reads for most files
	for len(text) < 4<<20 {
		count, err := syscall.Read(int(file.Fd()), buffer)
		if err != nil {
			at.Error = errorOf(err)
			break
		}
		if count == 0 {
			break
		}
		text = append(text, buffer[:count]...)
	}
	shapes := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if strings.ContainsRune(line, 0) {
			line = "binary"
		}
		at.Lines++
		if len(shapes) < most {
			shapes[shape(line)] = true
		}
	}
	for each := range shapes {
		at.Shapes = append(at.Shapes, each)
	}
	sort.Strings(at.Shapes)
}

func errorOf(err error) string {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}

// wanted says whether to go into a directory: of processes into this one alone.
func wanted(path string) bool {
	name := filepath.Base(path)
	if filepath.Dir(path) == "/proc" {
		if id, err := strconv.Atoi(name); err == nil {
			return id == os.Getpid()
		}
	}
	return true
}

func main() {
	runtime.LockOSThread()
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	self := "/proc/" + strconv.Itoa(os.Getpid())
	tidy := func(path string) string {
		if rest, found := strings.CutPrefix(path, self); found {
			path = "/proc/self" + rest
			if before, after, found := strings.Cut(path, "/task/"); found {
				if _, below, found := strings.Cut(after, "/"); found {
					return before + "/task/TID/" + below
				}
				return before + "/task/TID"
			}
		}
		return path
	}
	if len(os.Args) > 1 {
		paths := bufio.NewScanner(io.Reader(os.Stdin))
		for paths.Scan() {
			path := strings.Replace(paths.Text(), "/proc/self", self, 1)
			path = strings.Replace(path, "/TID", "/"+strconv.Itoa(os.Getpid()), 1)
			at := look(path)
			at.Path = paths.Text()
			out.Encode(at)
		}
		return
	}
	seen := map[string]bool{}
	for _, top := range []string{"/proc", "/sys"} {
		filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if entry == nil {
				return nil
			}
			if entry.IsDir() && !wanted(path) {
				return fs.SkipDir
			}
			if shown := tidy(path); !seen[shown] {
				seen[shown] = true
				at := look(path)
				at.Path = shown
				out.Encode(at)
			}
			return nil
		})
	}
}
