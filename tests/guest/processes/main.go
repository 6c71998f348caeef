// Programs that start themselves by os/exec: pipes, environment, exit statuses, signals, groups, many at once.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var self string

func command(arguments ...string) *exec.Cmd { return exec.Command(self, arguments...) }

func main() {
	if len(os.Args) > 1 {
		child(os.Args[1:])
		return
	}
	var err error
	if self, err = os.Executable(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	outputs()
	inputs()
	statuses()
	signals()
	cancels()
	files()
	attributes()
	starts()
	many()
	pipeline()
	fmt.Println("end")
}

func child(words []string) {
	switch words[0] {
	case "echo":
		fmt.Println(strings.Join(words[1:], " "))
	case "both":
		fmt.Println("to the output")
		fmt.Fprintln(os.Stderr, "to the errors")
	case "environment":
		list := os.Environ()
		sort.Strings(list)
		fmt.Println(len(list), list)
	case "directory":
		directory, err := os.Getwd()
		fmt.Println(directory, err)
	case "cat":
		io.Copy(os.Stdout, os.Stdin)
	case "upper":
		scanner := bufio.NewScanner(os.Stdin)
		for scanner.Scan() {
			fmt.Println(strings.ToUpper(scanner.Text()))
		}
	case "big":
		block := bytes.Repeat([]byte("0123456789abcdef"), 4096)
		count, _ := strconv.Atoi(words[1])
		for i := 0; i < count; i++ {
			os.Stdout.Write(block)
		}
	case "exit":
		status, _ := strconv.Atoi(words[1])
		os.Exit(status)
	case "panic":
		panic("as asked")
	case "sleep":
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "catch":
		channel := make(chan os.Signal, 1)
		signal.Notify(channel, syscall.SIGTERM, syscall.SIGUSR1)
		fmt.Println("ready")
		fmt.Println("got", <-channel)
		os.Exit(21)
	case "files":
		for number := 3; number < 5; number++ {
			data, err := io.ReadAll(os.NewFile(uintptr(number), "extra"))
			fmt.Printf("%d: %q %v\n", number, data, err)
		}
		_, err := os.NewFile(5, "none").Stat()
		fmt.Println(errors.Is(err, syscall.EBADF))
	case "group":
		group, _ := syscall.Getpgid(0)
		fmt.Println("leads", group == os.Getpid(), "child of", strconv.Itoa(os.Getppid()) == words[1])
	case "descriptors":
		list, _ := os.ReadDir("/proc/self/fd")
		// Go's poller and the folder itself come and go: what was inherited is 0 to 2.
		count := 0
		for _, each := range list {
			target, err := os.Readlink("/proc/self/fd/" + each.Name())
			if err == nil && !strings.HasPrefix(target, "anon_inode") && !strings.HasPrefix(target, "/proc/") {
				count++
			}
		}
		fmt.Println("open", count)
	case "exec":
		err := syscall.Exec(os.Args[0], []string{"name", "echo", "executed"}, nil)
		fmt.Println(err)
	case "grandchild":
		output, err := exec.Command(os.Args[0], "echo", "from", "below").Output()
		fmt.Printf("%q %v\n", output, err)
	}
}

func show(what string, output []byte, err error) {
	fmt.Printf("%s: %q %v\n", what, output, err)
}

func outputs() {
	output, err := command("echo", "one", "two words", "").Output()
	show("output", output, err)
	output, err = command("both").CombinedOutput()
	show("both", output, err)
	output, err = command("both").Output()
	show("one", output, err)
	cmd := command("environment")
	cmd.Env = []string{"A=1", "LONG=" + strings.Repeat("x", 50), "EMPTY="}
	output, err = cmd.Output()
	show("environment", output, err)
	cmd = command("directory")
	cmd.Dir = "/proc"
	output, err = cmd.Output()
	show("directory", output, err)
	output, err = command("grandchild").Output()
	show("grandchild", output, err)
	cmd = command("big", "160")
	pipe, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
	}
	sum, count := uint32(0), 0
	reader := bufio.NewReader(pipe)
	for {
		each, err := reader.ReadByte()
		if err != nil {
			break
		}
		sum = sum*31 + uint32(each)
		count++
	}
	fmt.Println("big:", count, sum, cmd.Wait())
}

func inputs() {
	cmd := command("cat")
	cmd.Stdin = strings.NewReader(strings.Repeat("line\n", 100000))
	output, err := cmd.Output()
	fmt.Println("input:", len(output), err)
	cmd = command("upper")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	cmd.Start()
	lines := bufio.NewScanner(out)
	for i := 0; i < 20; i++ {
		fmt.Fprintf(in, "question %d\n", i)
		if !lines.Scan() || lines.Text() != fmt.Sprintf("QUESTION %d", i) {
			fmt.Println("wrong answer:", lines.Text())
		}
	}
	in.Close()
	fmt.Println("talk:", cmd.Wait())
	cmd = command("exit", "0")
	cmd.Stdin = strings.NewReader(strings.Repeat("nobody reads this ", 100000))
	fmt.Println("not read:", cmd.Run())
}

func statuses() {
	for _, status := range []string{"0", "1", "3", "127", "255", "256", "-1"} {
		err := command("exit", status).Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			fmt.Println("status", status, exit.ExitCode(), exit.Exited(), exit.Success(), exit)
		} else {
			fmt.Println("status", status, err)
		}
	}
	err := command("panic").Run()
	fmt.Println("panic:", err)
	_, err = exec.Command("/none/such").Output()
	fmt.Println("none:", err, errors.Is(err, fs.ErrNotExist))
	_, err = exec.Command("/proc/self/stat").Output()
	fmt.Println("may not:", err, errors.Is(err, fs.ErrPermission))
	_, err = exec.LookPath("goanna-no-such-program")
	fmt.Println("path:", err)
	cmd := command("echo")
	cmd.Dir = "/none"
	_, err = cmd.Output()
	fmt.Println("folder:", err)
	state := command("exit", "9")
	state.Run()
	fmt.Println("state:", state.ProcessState.ExitCode(), state.ProcessState, state.ProcessState.Pid() > 0,
		state.ProcessState.UserTime() >= 0)
}

// ready starts a child and waits for its first line.
func ready(cmd *exec.Cmd) *bufio.Reader {
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
	}
	reader := bufio.NewReader(out)
	reader.ReadString('\n')
	return reader
}

func signals() {
	for _, number := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT, syscall.SIGHUP} {
		cmd := command("sleep")
		ready(cmd)
		fmt.Println("sent:", cmd.Process.Signal(number))
		err := cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		fmt.Println("died:", err, status.Signaled(), status.Signal(), status.ExitStatus())
	}
	for _, number := range []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR1} {
		cmd := command("catch")
		reader := ready(cmd)
		cmd.Process.Signal(number)
		rest, _ := io.ReadAll(reader)
		fmt.Printf("caught: %q %v\n", rest, cmd.Wait())
	}
	cmd := command("sleep")
	ready(cmd)
	cmd.Process.Kill()
	state, err := cmd.Process.Wait()
	fmt.Println("wait:", state, err)
	fmt.Println("after the end:", cmd.Process.Signal(syscall.SIGTERM), cmd.Process.Kill())
	cmd = command("sleep")
	ready(cmd)
	process, err := os.FindProcess(cmd.Process.Pid)
	fmt.Println("found:", err, process.Signal(syscall.Signal(0)))
	cmd.Process.Signal(syscall.SIGSTOP)
	var fields []string
	for try := 0; try < 1000 && (try == 0 || fields[0] != "T"); try++ {
		time.Sleep(10 * time.Millisecond)
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		fields = strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	}
	fmt.Println("state:", fields[0], "parent:", fields[1] == strconv.Itoa(os.Getpid()))
	cmd.Process.Signal(syscall.SIGCONT)
	cmd.Process.Kill()
	fmt.Println("killed:", cmd.Wait())
}

func cancels() {
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	cmd := exec.CommandContext(limited, self, "sleep")
	err := cmd.Run()
	fmt.Println("cancelled:", err, limited.Err())
	limited, cancel = context.WithCancel(context.Background())
	cmd = exec.CommandContext(limited, self, "catch")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	reader := ready(cmd)
	cancel()
	rest, _ := io.ReadAll(reader)
	fmt.Printf("asked to end: %q %v\n", rest, cmd.Wait())
	limited, cancel = context.WithCancel(context.Background())
	cancel()
	fmt.Println("too late:", exec.CommandContext(limited, self, "echo").Run())
}

func files() {
	cmd := command("files")
	for _, text := range []string{"first", "second"} {
		reader, writer, _ := os.Pipe()
		fmt.Fprint(writer, text)
		writer.Close()
		defer reader.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, reader)
	}
	output, err := cmd.Output()
	show("files", output, err)
	before, err := command("descriptors").Output()
	fmt.Println("descriptors:", len(before) != 0, err)
	var open []*os.File
	for i := 0; i < 20; i++ {
		file, _ := os.Open("/dev/null")
		open = append(open, file)
	}
	output, err = command("descriptors").Output()
	fmt.Println("not inherited:", string(output) == string(before), err)
	for _, file := range open {
		file.Close()
	}
}

func attributes() {
	cmd := command("group", strconv.Itoa(os.Getpid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, err := cmd.Output()
	show("group", output, err)
	cmd = command("group", strconv.Itoa(os.Getpid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	output, err = cmd.Output()
	show("session", output, err)
	cmd = command("sleep")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ready(cmd)
	fmt.Println("to the group:", syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM))
	fmt.Println("died:", cmd.Wait())
	cmd = command("echo", "as another user")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 1234}}
	cmd.Path = "/proc/self/exe"
	output, err = cmd.Output()
	show("user", output, err)
	output, err = command("exec").Output()
	show("exec", output, err)
	cmd = command("sleep")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	ready(cmd)
	cmd.Process.Kill()
	fmt.Println("death signal:", cmd.Wait())
}

func starts() {
	process, err := os.StartProcess(self, []string{"name", "exit", "5"}, &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Println(err)
		return
	}
	state, err := process.Wait()
	fmt.Println("started:", state, err)
	_, err = process.Wait()
	fmt.Println("twice:", err != nil)
	process, _ = os.StartProcess(self, []string{"name", "exit", "0"}, &os.ProcAttr{})
	fmt.Println("released:", process.Release())
	pid, err := syscall.ForkExec(self, []string{"name", "exit", "6"}, nil)
	var status syscall.WaitStatus
	var usage syscall.Rusage
	got, err := syscall.Wait4(pid, &status, 0, &usage)
	fmt.Println("forked:", got == pid, err, status.ExitStatus())
}

func many() {
	const count = 200
	var group sync.WaitGroup
	statuses := make([]int, count)
	for i := 0; i < count; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			cmd := command("exit", strconv.Itoa(i%100))
			cmd.Run()
			statuses[i] = cmd.ProcessState.ExitCode()
		}(i)
	}
	group.Wait()
	good := 0
	for i, status := range statuses {
		if status == i%100 {
			good++
		}
	}
	fmt.Println("many:", good)
}

func pipeline() {
	const length = 10
	var previous io.Reader = strings.NewReader("through all of them\n")
	var commands []*exec.Cmd
	for i := 0; i < length; i++ {
		cmd := command("cat")
		cmd.Stdin = previous
		previous, _ = cmd.StdoutPipe()
		commands = append(commands, cmd)
	}
	for _, cmd := range commands {
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
		}
	}
	output, err := io.ReadAll(previous)
	show("pipeline", output, err)
	for _, cmd := range commands {
		if err := cmd.Wait(); err != nil {
			fmt.Println(err)
		}
	}
}
