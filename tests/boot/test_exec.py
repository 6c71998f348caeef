"""`goanna test` is `go test`: the same verdicts, and what the tests write to the paths that their flags name."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.running import GOANNA

_FILES = {
    "go.mod": "module example.com/m\n\ngo 1.21\n",
    "shared.txt": "around\n",
    "a/a.go": """package a

func Twice(n int) int {
	if n > 100 {
		return 0
	}
	return 2 * n
}
""",
    "a/testdata/input": "data\n",
    "a/a_test.go": """package a

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("CHILD") != "" {
		os.Stdout.WriteString("child of " + filepath.Base(os.Args[0]))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestPlace(t *testing.T) {
	here, err := os.Getwd()
	if err != nil || here != os.Getenv("EXPECTED_FOLDER") {
		t.Errorf("stands in %q: %v", here, err)
	}
	if !filepath.IsAbs(os.Args[0]) || !strings.HasSuffix(os.Args[0], "a.test") {
		t.Errorf("is called %q", os.Args[0])
	}
	if self, err := os.Executable(); err != nil || self != os.Args[0] {
		t.Errorf("is %q: %v", self, err)
	}
}

func TestFiles(t *testing.T) {
	for name, want := range map[string]string{"testdata/input": "data\\n", "../shared.txt": "around\\n"} {
		got, err := os.ReadFile(name)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := os.WriteFile("testdata/input", []byte("changed"), 0o644); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), "f"), nil, 0o644); err != nil {
		t.Error(err)
	}
}

func TestChild(t *testing.T) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "CHILD=1")
	if output, err := command.CombinedOutput(); err != nil || string(output) != "child of a.test" {
		t.Errorf("%q, %v", output, err)
	}
}

func TestTwice(t *testing.T) {
	if Twice(2) != 4 {
		t.Error("not twice")
	}
}

func BenchmarkTwice(b *testing.B) {
	for i := 0; i < b.N; i++ {
		Twice(i)
	}
}

func FuzzTwice(f *testing.F) {
	f.Add(1)
	f.Fuzz(func(t *testing.T, n int) { Twice(n) })
}
""",
    "b/b_test.go": """package b

import "testing"

func TestFails(t *testing.T) { t.Error("as it should") }

func TestSkips(t *testing.T) { t.Skip() }
""",
}


@pytest.fixture
def module(tmp_path: Path, go: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module in whose folder the test stands."""
    for name, text in _FILES.items():
        path = tmp_path / "m" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path / "m")
    monkeypatch.setenv("EXPECTED_FOLDER", str(tmp_path / "m/a"))
    monkeypatch.setenv("PATH", f"{Path(go).parent}:{os.environ['PATH']}")
    yield tmp_path / "m"
    assert (tmp_path / "m/a/testdata/input").read_text() in ("data\n", "changed")


def goanna_test(processors: int, *words: str) -> tuple[int, str]:
    command = [*GOANNA, "test", "--cpus", str(processors), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    return done.returncode, done.stdout


def verdicts(output: str) -> dict[tuple[str, str], str]:
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    ends = [each for each in events if each["Action"] in ("pass", "fail", "skip")]
    return {(each["Package"], each.get("Test", "")): each["Action"] for each in ends}


def test_verdicts_are_go_tests_own(module: Path, go: str, processors: int) -> None:
    status, output = goanna_test(processors, "-json", "-count=1", "./...")
    assert (module / "a/testdata/input").read_text() == "data\n"
    here = subprocess.run([go, "test", "-json", "-count=1", "./..."], capture_output=True, text=True)
    assert status == here.returncode == 1
    assert verdicts(output) == verdicts(here.stdout) and verdicts(output)[("example.com/m/a", "")] == "pass"


def test_what_tests_find_around_them_is_said_by_flags(module: Path) -> None:
    (module / "data").mkdir()
    (module / "data/f").write_text("shared")
    (module / "b/b_test.go").write_text("""package b

import (
	"os"
	"testing"
)

func TestSurroundings(t *testing.T) {
	here, _ := os.Getwd()
	data, err := os.ReadFile("/data/f")
	added, _ := os.ReadFile("/srv/added")
	t.Logf("%s %s %s %q %v %q", here, os.Getenv("ONE"), os.Getenv("EXPECTED_FOLDER"), data, err, added)
	os.WriteFile("/data/made", nil, 0o600)
}
""")
    words = ["--env", "ONE=1", "--workdir=/tmp", "--share", "data:/data", "--add", "shared.txt:/srv/added"]
    status, output = goanna_test(1, *words, "-v", "-count=1", "./b")
    assert status == 0 and f'/tmp 1 {module}/a "shared" <nil> "around\\n"' in output, output
    assert (module / "data/made").exists()


def test_what_links_in_testdata_lead_to_is_there(module: Path, go: str) -> None:
    outside = module.parent / "shared"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/f").write_text("far")
    (outside / "one").write_text("near")
    (outside / "again").symlink_to("one")
    (module / "b/testdata").mkdir()
    (module / "b/testdata/folder").symlink_to("../../../shared/deep")
    (module / "b/testdata/file").symlink_to(outside / "again")
    (module / "b/testdata/nothing").symlink_to("../../../gone")
    (module / "b/b_test.go").write_text("""package b

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLinks(t *testing.T) {
	for _, name := range []string{"folder/f", "file", "nothing"} {
		data, err := os.ReadFile("testdata/" + name)
		real, _ := filepath.EvalSymlinks("testdata/" + name)
		t.Logf("%q %v %s", data, err, real)
	}
}
""")
    status, output = goanna_test(1, "-v", "-count=1", "./b")
    here = subprocess.run([go, "test", "-v", "-count=1", "./b"], capture_output=True, text=True).stdout
    said = [line for line in output.splitlines() if "b_test.go" in line]
    assert status == 0 and '"far"' in said[0] and '"near"' in said[1], output
    assert said == [line for line in here.splitlines() if "b_test.go" in line]


def test_profiles_and_coverage_come_back(module: Path, go: str, processors: int) -> None:
    flags = ["-cover", "-coverprofile=c.out", "-cpuprofile=cpu.out", "-memprofile=mem.out", "-trace=t.out"]
    status, output = goanna_test(processors, *flags, "-count=1", "-bench=.", "-benchtime=10x", "./a")
    assert status == 0 and "coverage: 66.7% of statements" in output and "BenchmarkTwice" in output, output
    covered = (module / "c.out").read_text()
    subprocess.run([go, "test", "-coverprofile=here.out", "-count=1", "-bench=.", "-benchtime=10x", "./a"], check=True)
    assert covered == (module / "here.out").read_text() and covered.count("\n") > 3
    for name in ("cpu.out", "mem.out", "t.out"):
        assert (module / name).stat().st_size > 0


def test_fuzzing_keeps_what_it_finds(module: Path, processors: int) -> None:
    broken = _FILES["a/a_test.go"].replace("{ Twice(n) }", '{ if n > 5 && n < 1000000 { t.Error("found") } }')
    (module / "a/a_test.go").write_text(broken)
    status, output = goanna_test(processors, "-fuzz=FuzzTwice", "-fuzztime=30s", "-run=FuzzTwice", "./a")
    assert status == 1 and "--- FAIL: FuzzTwice" in output and "found" in output, output
    assert len(list((module / "a/testdata/fuzz/FuzzTwice").iterdir())) == 1
