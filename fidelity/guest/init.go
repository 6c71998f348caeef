// Init is the first process of the Linux that a test is run on in QEMU: it makes the surroundings that the test has on
// the other sides (fidelity/linux.py), runs it there, writes what it says to the serial line, and ends the machine.
//
// The drive named "files" has what an image has beside its program, and the test binary; "tree" has the distribution.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// run is /.run.json of the drive "files": what to run, and the folder that the tree is mounted on.
type run struct {
	Tree, Folder, Program  string
	Arguments, Environment []string
}

const root = "/root"

// TCSETSW of ioctl_tty(2), which the syscall package doesn't name.
const setAfterOutput = 0x5403

func main() {
	if err := start(); err != nil {
		fmt.Println("init:", err)
	}
	// QEMU is told not to reboot, and ends.
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
}

func start() error {
	serial, err := prepareSerial()
	if err != nil {
		return err
	}
	wanted, err := prepareRoot()
	if err != nil {
		return err
	}
	if err := loopback(); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1024, Max: 1 << 20}); err != nil {
		return err
	}
	syscall.Umask(0o022)
	command := exec.Cmd{
		Path: wanted.Program, Args: wanted.Arguments, Env: wanted.Environment, Dir: wanted.Folder,
		SysProcAttr: &syscall.SysProcAttr{Chroot: root, Setsid: true},
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		return err
	}
	if _, err := io.Copy(serial, output); err != nil {
		return err
	}
	command.Wait() // the verdicts are in what it wrote
	return nil
}

// prepareSerial mounts /dev and /sys, and makes the serial line hand on bytes as they are.
func prepareSerial() (*os.File, error) {
	for _, each := range [][2]string{{"devtmpfs", "/dev"}, {"sysfs", "/sys"}} {
		os.Mkdir(each[1], 0o755)
		if err := syscall.Mount(each[0], each[1], each[0], 0, ""); err != nil && err != syscall.EBUSY {
			return nil, fmt.Errorf("mount %s: %w", each[1], err)
		}
	}
	serial, err := os.OpenFile("/dev/ttyS0", os.O_WRONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	var terminal syscall.Termios
	if err := ioctl(serial.Fd(), syscall.TCGETS, unsafe.Pointer(&terminal)); err != nil {
		return nil, err
	}
	terminal.Oflag &^= syscall.OPOST
	return serial, ioctl(serial.Fd(), setAfterOutput, unsafe.Pointer(&terminal))
}

// prepareRoot makes the root that the test sees.
func prepareRoot() (wanted run, err error) {
	drives, err := drivesByName()
	if err != nil {
		return wanted, err
	}
	if err := mount(drives["files"], "/files", "erofs", syscall.MS_RDONLY, ""); err != nil {
		return wanted, err
	}
	text, err := os.ReadFile("/files/.run.json")
	if err != nil {
		return wanted, err
	}
	if err := json.Unmarshal(text, &wanted); err != nil {
		return wanted, err
	}
	if err := mount("tmpfs", root, "tmpfs", 0, ""); err != nil {
		return wanted, err
	}
	if err := copyTree("/files", root); err != nil {
		return wanted, err
	}
	if err := mount(drives["tree"], "/tree", "erofs", syscall.MS_RDONLY, ""); err != nil {
		return wanted, err
	}
	// As on the other sides, what is written lies in the memory of the root.
	for _, each := range []string{"/.over/upper", "/.over/work"} {
		if err := os.MkdirAll(root+each, 0o755); err != nil {
			return wanted, err
		}
	}
	layers := "lowerdir=/tree,upperdir=" + root + "/.over/upper,workdir=" + root + "/.over/work"
	for _, each := range [][4]string{
		{"overlay", root + wanted.Tree, "overlay", layers},
		{"proc", root + "/proc", "proc", ""},
		{"sysfs", root + "/sys", "sysfs", ""},
		{"devtmpfs", root + "/dev", "devtmpfs", ""},
		{"tmpfs", root + "/dev/shm", "tmpfs", ""},
		{"devpts", root + "/dev/pts", "devpts", "ptmxmode=0666"},
	} {
		if err := mount(each[0], each[1], each[2], 0, each[3]); err != nil {
			return wanted, err
		}
	}
	for name, target := range map[string]string{"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"} {
		os.Symlink("/proc/self/fd"+target, root+"/dev/"+name)
	}
	return wanted, nil
}

func mount(what, where, kind string, flags uintptr, options string) error {
	if err := os.MkdirAll(where, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(what, where, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s: %w", where, err)
	}
	return nil
}

// drivesByName gives the devices of the drives by the serial numbers that QEMU was told.
func drivesByName() (map[string]string, error) {
	found := map[string]string{}
	names, err := filepath.Glob("/sys/block/vd*/serial")
	for _, each := range names {
		text, err := os.ReadFile(each)
		if err != nil {
			return nil, err
		}
		found[strings.TrimSpace(string(text))] = "/dev/" + filepath.Base(filepath.Dir(each))
	}
	return found, err
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		there := to + strings.TrimPrefix(path, from)
		information, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			if err := os.MkdirAll(there, 0o755); err != nil {
				return err
			}
			status := information.Sys().(*syscall.Stat_t)
			return syscall.Chmod(there, status.Mode&0o7777)
		case entry.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, there)
		default:
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(there, text, information.Mode().Perm())
		}
	})
}

// loopback brings the interface up that every computer has (netdevice(7)).
func loopback() error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	return ioctl(uintptr(socket), syscall.SIOCSIFFLAGS, unsafe.Pointer(&request))
}

func ioctl(descriptor, request uintptr, argument unsafe.Pointer) error {
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, descriptor, request, uintptr(argument)); err != 0 {
		return err
	}
	return nil
}
