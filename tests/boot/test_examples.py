"""The programs of examples/, fetched at their published versions, booted as their README lines say, and used."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.running import GOANNA
from tests.boot.serving import goanna_run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# Their modules take a minute to compile where nobody has before.
long = pytest.mark.skipif(not os.environ.get("GOANNA_BOOT_ALL"), reason="long: `make boot-all` has it")


def fetched(name: str, go: str) -> str:
    """The folder of an example whose modules are here; the test is skipped where no proxy has them."""
    folder = EXAMPLES / name
    done = subprocess.run([go, "mod", "download"], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"the modules of {name} can't be fetched: {done.stderr.strip().splitlines()[-1]}")
    return str(folder)


def get(port: int, path: str, body: bytes | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", body, timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {"GOANNA_ACCEL": "tcg"} | dict(os.environ)
    return subprocess.run(
        [*GOANNA, "run", *words],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip


def test_every_example_has_its_line() -> None:
    lines = (EXAMPLES / "README.md").read_text().splitlines()
    for folder in EXAMPLES.iterdir():
        if folder.is_dir():
            (line,) = [each for each in lines if each.startswith(f"| [{folder.name}]({folder.name}/")]
            assert "goanna run" in line and (folder / "go.mod").exists(), folder


def test_httpd() -> None:
    with goanna_run("-p", "127.0.0.1::8080", str(EXAMPLES / "httpd"), ready="serving on :8080") as (process, ports):
        for number in range(20):
            status, text = get(ports["8080/tcp"], f"/{number}")
            assert status == 200 and text.startswith("Hello from go") and f"GET /{number} for 10.0.2.2:" in text
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 128 + signal.SIGINT


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, go: str) -> Path:
    """examples/fetch, as a program of this computer."""
    return built("fetch", tmp_path_factory.mktemp("client"), go)


def built(name: str, folder: Path, go: str) -> Path:
    environment = os.environ | {"CGO_ENABLED": "0"}
    subprocess.run([go, "build", "-o", folder / name, "."], cwd=EXAMPLES / name, env=environment, check=True)
    return folder / name


def certificate(lines: Iterator[str]) -> str:
    """What the https example prints before it serves."""
    text = ""
    for line in lines:
        text += line
        if line.startswith("-----END"):
            return text
    raise AssertionError(f"no certificate was printed: {text}")


def test_https(client: Path, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    with goanna_run("-p", "127.0.0.1::8443", str(EXAMPLES / "https"), ready="-----BEGIN") as (process, ports):
        assert process.stdout is not None
        root.write_text("-----BEGIN CERTIFICATE-----\n" + certificate(process.stdout))
        assert process.stdout.readline().startswith("serving on ")
        url = f"https://localhost:{ports['8443/tcp']}/hello"
        trusting = ssl.create_default_context(cafile=os.fspath(root))
        with urllib.request.urlopen(url, timeout=120, context=trusting) as answer:
            assert answer.read() == b"GET /hello by HTTP/1.1, TLS 1.3\n"
        done = subprocess.run([client, url], env={"SSL_CERT_FILE": os.fspath(root)}, capture_output=True, text=True)
        assert done.returncode == 0 and f"{url}: 200 OK, HTTP/2.0, " in done.stdout, done


def test_fetch(tmp_path: Path, go: str) -> None:
    root = tmp_path / "root.pem"
    server = subprocess.Popen(
        [built("https", tmp_path, go), "-listen", "127.0.0.1:0", "10.0.2.2"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        root.write_text(certificate(server.stdout))
        url = f"https://10.0.2.2:{server.stdout.readline().rpartition(':')[2].strip()}/"
        trusting = run("--add", f"{root}:/etc/ssl/certs/test.pem", str(EXAMPLES / "fetch"), "--", url)
        assert trusting.returncode == 0 and trusting.stdout.endswith("TLS 1.3, 10.0.2.2, trusted by 10.0.2.2\n")
        assert f"{url}: 200 OK, HTTP/2.0, " in trusting.stdout
        alone = run("--add", f"{root}:/root.pem", "-e", "SSL_CERT_FILE=/root.pem", str(EXAMPLES / "fetch"), "--", url)
        assert alone.returncode == 0, alone
        doubting = run(str(EXAMPLES / "fetch"), "--", url)
        assert doubting.returncode == 1 and "certificate signed by unknown authority" in doubting.stderr, doubting
    finally:
        server.kill()
        server.wait()


def test_chi(go: str) -> None:
    with goanna_run("-p", "127.0.0.1::8080", fetched("chi", go), ready="serving on :8080") as (_, ports):
        port = ports["8080/tcp"]
        assert get(port, "/notes/1")[0] == 404
        assert get(port, "/notes", json.dumps("remember").encode()) == (201, "1\n")
        assert get(port, "/notes/1") == (200, '"remember"\n')
        assert get(port, "/notes", b"{")[0] == 400


def test_ssh(go: str) -> None:
    folder = fetched("ssh", go)
    with goanna_run("-p", "127.0.0.1::2222", folder, ready="serving on :2222") as (_, ports):
        done = subprocess.run(
            [go, "test", "-count=1", ".", "-args", "-address", f"127.0.0.1:{ports['2222/tcp']}"], cwd=folder,
            capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done


def test_dns(go: str) -> None:
    done = run(fetched("dns", go), "--", "-test")
    assert done.returncode == 0, done
    # A resolver that asks for IPv4 alone asks once, by UDP, and then by TCP, since that answer was cut off.
    found = re.fullmatch(
        r"udp: NOERROR, (\d+) addresses, cut off\n  192.0.2.*\ntcp: NOERROR, 100 addresses\n  192.0.2.*\n"
        r"net.Resolver goes by udp\nnet.Resolver goes by tcp\nnet.Resolver: 100 addresses\n",
        done.stdout,
    )
    assert found is not None and 0 < int(found[1]) < 100, done


def test_metrics(go: str) -> None:
    with goanna_run("-p", "127.0.0.1::8080", fetched("metrics", go), ready="serving on :8080") as (_, ports):
        port = ports["8080/tcp"]
        assert [get(port, path)[0] for path in ("/", "/", "/missing")] == [200, 200, 404]
        lines = get(port, "/metrics")[1].splitlines()
    assert 'example_requests_total{code="200"} 2' in lines and 'example_requests_total{code="404"} 1' in lines
    # What the kernel tells of a process, by /proc.
    values = dict(line.split() for line in lines if line.startswith("process_"))
    assert 3 <= float(values["process_open_fds"]) < 30 and float(values["process_resident_memory_bytes"]) > 1e6
    assert abs(float(values["process_start_time_seconds"]) - time.time()) < 600


@long
def test_cue(go: str, tmp_path: Path) -> None:
    folder = fetched("cue", go)
    done = run("--add", f"{folder}/service.cue:/service.cue", folder, "--", "/service.cue")
    assert done.returncode == 0, done
    value = json.loads(done.stdout)
    assert value["total"] == 4 and value["services"]["web"]["url"] == "http://web:8080"
    wrong = tmp_path / "wrong.cue"
    wrong.write_text("services: web: port: 80\n")
    done = run("--add", f"{folder}/service.cue:/service.cue", "--add", f"{wrong}:/wrong.cue", folder, "--",
               "/service.cue", "/wrong.cue")  # fmt: skip
    assert done.returncode == 1 and "wrong.cue:1:" in done.stderr, done


@long
def test_godoc(go: str) -> None:
    folder = fetched("godoc", go)
    source = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip() + "/src"
    with goanna_run(
        "-C", folder, "-m", "512M", "-p", "127.0.0.1::6060", "--add", f"{source}:/usr/local/go/src",
        "golang.org/x/tools/cmd/godoc", "--", "-v", "-goroot=/usr/local/go", "-http=:6060", ready="address = ",
    ) as (_, ports):  # fmt: skip
        # It says where it will serve some time before it does; until then QEMU ends what it has accepted.
        status, text = 0, ""
        end = time.monotonic() + 60
        while not text and time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, text = get(ports["6060/tcp"], "/pkg/net/http/")
    assert status == 200 and "ListenAndServeTLS" in text
