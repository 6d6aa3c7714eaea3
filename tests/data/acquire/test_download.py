"""Downloads against a server on this machine that cuts, lies, forgets and changes its files."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import types
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from salstm.data import datasets
from salstm.data.acquire import download, listing, progress, sources, transfer, weights
from salstm.data.readers import acdc

ROOT = Path(__file__).parents[3]


class Server(ThreadingHTTPServer):
    """Serves ``files``, with ranges; ``tricks`` are played one a request, then all is well.

    A trick is a number (the connection is cut after so many bytes), a status, or a word.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.tricks: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.sent: list[int] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def offer(self, name: str, content: bytes, *tricks: Any) -> str:
        self.files[name], self.tricks[name] = content, list(tricks)
        return self.url(name)


class Handler(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        tricks = self.server.tricks.get(name, [])
        trick = tricks.pop(0) if tricks else None
        wanted = self.headers.get("Range")
        self.server.asked.append((name, wanted))
        content = self.server.files.get(name, b"")
        if name not in self.server.files or trick in (404, 503):
            return self.send_error(404 if trick is None else trick)
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        changed = self.headers.get("If-Range", tag) != tag and trick != "stubborn"
        if trick == "no ranges" or changed:
            start = 0
        if start > len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if trick != "no length":
            self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Type", "text/html" if trick == "page" else "application/zip")
        if trick != "no tag":
            self.send_header("ETag", tag)
        self.end_headers()
        end = trick if isinstance(trick, int) else len(content)
        self.server.sent.append(len(content[start:end]))
        self.wfile.write(content[start:end])
        return None

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "SALSTM_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


CONTENT = os.urandom(3_000_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def get(urls: list[str], path: Path, checksum: str | None = SHA256, **options: Any) -> str:
    return transfer.download(urls, path, checksum=checksum, pause=0.01, **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# One file


def test_a_file_arrives_whole_and_nothing_else_stays(server, tmp_path):
    url = server.offer("f.zip", CONTENT)
    assert get([url], tmp_path / "f.zip") == url
    assert (tmp_path / "f.zip").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["f.zip"]


def test_a_cut_connection_goes_on_with_the_rest_alone(server, tmp_path):
    url = server.offer("f.zip", CONTENT, 1_000_000, 2_000_000)
    get([url], tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == CONTENT
    ranges = [wanted for _, wanted in server.asked]
    assert ranges[0] is None
    assert [bool(re.fullmatch(r"bytes=\d+-", wanted or "")) for wanted in ranges[1:]] == [
        True,
        True,
    ]
    assert sum(server.sent) < len(CONTENT) + 3 * transfer.CHUNK


def test_a_later_run_goes_on_where_an_earlier_one_has_failed(server, tmp_path):
    url = server.offer("f.zip", CONTENT, 2_000_000, *[503] * (transfer.ATTEMPTS - 1))
    with pytest.raises(transfer.DownloadError, match=r"bytes are kept for the next run"):
        get([url], tmp_path / "f.zip")
    there = (tmp_path / "f.zip.part").stat().st_size
    assert 2_000_000 - transfer.CHUNK <= there <= 2_000_000
    assert names(tmp_path) == ["f.zip.part", "f.zip.part.json"]
    server.asked.clear()
    get([url], tmp_path / "f.zip")
    assert server.asked == [("f.zip", f"bytes={there}-")]
    assert server.sent[-1] == len(CONTENT) - there
    assert names(tmp_path) == ["f.zip"]


def test_a_complete_part_is_not_asked_for_again(server, tmp_path):
    """The run before was killed between the last byte and the rename."""
    url = server.offer("f.zip", CONTENT)
    get([url], tmp_path / "f.zip", check=lambda part: shutil.copy(part, tmp_path / "kept"))
    (tmp_path / "kept").rename(tmp_path / "f.zip.part")
    state = f'{{"url": "{url}", "validator": "", "total": {len(CONTENT)}}}'
    (tmp_path / "f.zip.part.json").write_text(state)
    (tmp_path / "f.zip").unlink()
    server.asked.clear()
    get([url], tmp_path / "f.zip")
    assert server.asked == []
    assert (tmp_path / "f.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("trick", [None, "stubborn"])
def test_a_file_that_has_changed_starts_again(server, tmp_path, trick):
    """A stubborn server sends the rest of the new file, whatever If-Range asks."""
    old = os.urandom(len(CONTENT))
    url = server.offer("f.zip", old, 1_000_000, *[503] * (transfer.ATTEMPTS - 1))
    with pytest.raises(transfer.DownloadError):
        get([url], tmp_path / "f.zip")
    server.offer("f.zip", CONTENT, trick)
    get([url], tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == CONTENT
    assert server.sent[-1] == len(CONTENT)


def test_without_a_tag_another_length_starts_again(server, tmp_path):
    old = os.urandom(2_000_000)
    (tmp_path / "f.zip.part").write_bytes(old[:1_000_000])
    url = server.offer("f.zip", CONTENT, "no tag", "no tag")
    state = f'{{"url": "{url}", "validator": "", "total": 2000000}}'
    (tmp_path / "f.zip.part.json").write_text(state)
    get([url], tmp_path / "f.zip", checksum=None)
    assert (tmp_path / "f.zip").read_bytes() == CONTENT
    assert server.asked == [("f.zip", "bytes=1000000-"), ("f.zip", None)]


def test_a_file_that_has_become_shorter_starts_again(server, tmp_path):
    (tmp_path / "f.zip.part").write_bytes(bytes(4_000_000))
    url = server.offer("f.zip", CONTENT)
    state = f'{{"url": "{url}", "validator": "", "total": 5000000}}'
    (tmp_path / "f.zip.part.json").write_text(state)
    get([url], tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == CONTENT


def test_a_part_of_unknown_origin_starts_again(server, tmp_path):
    (tmp_path / "f.zip.part").write_bytes(b"whose is this?")
    get([server.offer("f.zip", CONTENT)], tmp_path / "f.zip")
    assert server.asked == [("f.zip", None)]


def test_a_server_without_ranges_starts_again(server, tmp_path):
    url = server.offer("f.zip", CONTENT, 1_000_000, "no ranges")
    get([url], tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == CONTENT


def test_an_unknown_length_is_taken_as_it_comes(server, tmp_path):
    get([server.offer("f.zip", CONTENT, "no length")], tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == CONTENT


def test_a_wrong_checksum_is_removed_and_clearly_said(server, tmp_path):
    url = server.offer("f.zip", b"something else")
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(transfer.DownloadError, match=f"removed.*sha256 {found}.*is expected"):
        get([url], tmp_path / "f.zip")
    assert names(tmp_path) == []


def test_md5_and_the_first_digits_of_a_hash_serve_as_well(server, tmp_path):
    url = server.offer("f.zip", CONTENT)
    get([url], tmp_path / "a", checksum=f"md5:{hashlib.md5(CONTENT).hexdigest()}")
    get([url], tmp_path / "b", checksum=SHA256[:15])
    with pytest.raises(transfer.DownloadError, match="md5"):
        get([url], tmp_path / "c", checksum="md5:" + 32 * "0")


@pytest.mark.parametrize("trouble", ["404", "page", "wrong", "cut", "refused", "address"])
def test_the_next_mirror_is_asked(server, tmp_path, trouble, caplog):
    first = server.url("missing")
    if trouble == "page":
        first = server.offer("first", b"<html>", "page")
    elif trouble == "wrong":
        first = server.offer("first", b"something else")
    elif trouble == "cut":
        first = server.offer("first", CONTENT, 10, *[10] * transfer.ATTEMPTS)
    elif trouble == "refused":
        first = "http://127.0.0.1:9/f.zip"
    elif trouble == "address":
        first = "gopher://127.0.0.1/f.zip"
    second = server.offer("second", CONTENT)
    assert get([first, second], tmp_path / "f.zip") == second
    assert (tmp_path / "f.zip").read_bytes() == CONTENT
    assert first in caplog.text


def test_with_a_hash_another_mirror_goes_on_where_the_first_one_stopped(server, tmp_path):
    first = server.offer("first", CONTENT, 2_000_000, *[503] * (transfer.ATTEMPTS - 1))
    second = server.offer("second", CONTENT)
    get([first, second], tmp_path / "f.zip")
    assert server.asked[-1][0] == "second"
    assert re.fullmatch(r"bytes=(19|20)\d{5}-", server.asked[-1][1])
    without = server.offer("first", CONTENT, 2_000_000, *[503] * (transfer.ATTEMPTS - 1))
    get([without, second], tmp_path / "g.zip", checksum=None)
    assert server.asked[-1] == ("second", None)


def test_every_mirror_has_its_reason_in_the_message(server, tmp_path):
    urls = [server.url("a"), server.offer("b", b"x")]
    with pytest.raises(transfer.DownloadError) as caught:
        get(urls, tmp_path / "f.zip")
    assert f"{urls[0]}: 404 Not Found" in str(caught.value)
    assert f"{urls[1]}: wrong file" in str(caught.value)


def test_a_busy_server_is_asked_again(server, tmp_path, caplog):
    get([server.offer("f.zip", CONTENT, 503, 503)], tmp_path / "f.zip")
    assert len(server.asked) == 3
    assert "503 Service Unavailable; again in 0 s" in caplog.text


def test_offline_nothing_is_asked_for(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SALSTM_OFFLINE", "1")
    with pytest.raises(transfer.DownloadError, match="SALSTM_OFFLINE is set"):
        get([server.offer("f.zip", CONTENT)], tmp_path / "f.zip")
    assert server.asked == []


def test_too_little_room_is_said_before_the_first_byte(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"0\.00 GB are needed.*make room"):
        get([server.offer("f.zip", CONTENT)], tmp_path / "f.zip")
    assert names(tmp_path) == []


def test_who_waits_for_another_process_finds_its_file(server, tmp_path):
    url = server.offer("f.zip", CONTENT)
    with transfer.locked(tmp_path / ".f.zip.lock"):
        waiting = threading.Thread(target=get, args=([url], tmp_path / "f.zip"))
        waiting.start()
        (tmp_path / "f.zip").write_bytes(CONTENT)
    waiting.join()
    assert server.asked == []


def test_without_a_terminal_there_is_a_line_a_minute(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.progress("f.zip", 1_000_000, 10_000_000) as advance:
        for _ in range(130):
            now[0] += 1
            advance(10_000)
    assert [record.message for record in caplog.records] == [
        "f.zip: 1.6 of 10.0 MB",
        "f.zip: 2.2 of 10.0 MB",
    ]


def test_on_a_terminal_there_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.progress("f.zip", 0, 100) as advance:
        advance(100)
    assert "f.zip: 100%" in capsys.readouterr().err


# A dataset


@pytest.fixture(scope="module")
def archive(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The phantom in the layout of the official archive."""
    path = tmp_path_factory.mktemp("archive") / "ACDC.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for one in sorted(phantom.rglob("*")):
            file.write(one, f"ACDC/database/{one.relative_to(phantom).as_posix()}")
    return path.read_bytes()


def listed(tmp_path: Path, *urls: str, **keys: Any) -> Path:
    entry = {"file": "ACDC.zip", "roots": ["ACDC", "database"], "urls": list(urls), "about": "2 GB"}
    source = {"page": "https://acdc.org", "manual": "sign in", "archives": [{**entry, **keys}]}
    path = tmp_path / "sources.yaml"
    path.write_text(yaml.safe_dump({"acdc": source}))
    return path


def digits(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def salstm(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """``python -m salstm`` as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "salstm", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def fetch(tmp_path: Path, file: Path, **environment: str) -> subprocess.CompletedProcess:
    common = ["--raw", tmp_path / "raw", "--out", tmp_path / "raw.json", "--sources", file]
    return salstm("fetch", "--dataset", "acdc", *common, **environment)


def same_files(one: Path, other: Path) -> bool:
    files = [{p.relative_to(d): p.read_bytes() for p in d.rglob("*.*")} for d in (one, other)]
    return files[0] == files[1]


def test_a_dataset_from_nothing_to_its_manifest_by_one_command(server, tmp_path, archive, phantom):
    url = server.offer("acdc", archive, len(archive) // 2)
    done = fetch(tmp_path, listed(tmp_path, server.url("dead"), url, sha256=digits(archive)))
    assert done.returncode == 0, done.stderr
    assert same_files(tmp_path / "raw" / "ACDC" / "database" / "training", phantom / "training")
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["ACDC"]
    assert server.asked[0] == ("dead", None)
    assert server.asked[2][1].startswith("bytes=")
    assert sum(server.sent) < len(archive) + 2 * transfer.CHUNK
    manifest = listing.files(tmp_path / "raw.json")
    assert manifest == datasets.raw_manifest("acdc", tmp_path / "raw")
    lines = done.stderr.splitlines()
    first = {text: i for i, line in reversed([*enumerate(lines)]) for text in WORDS if text in line}
    assert first["CC BY-NC-SA 4.0"] < first["please cite Bernard"] < first["127.0.0.1"]
    assert "96 of 100 patients missing" in done.stderr

    server.asked.clear()
    done = fetch(tmp_path, listed(tmp_path, url))
    assert done.returncode == 0
    assert "nothing to download" in done.stderr
    assert server.asked == []


WORDS = ("CC BY-NC-SA 4.0", "please cite Bernard", "127.0.0.1")


def test_a_dataset_that_cannot_be_downloaded_ends_with_instructions(server, tmp_path):
    done = fetch(tmp_path, listed(tmp_path, server.url("dead")))
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    for part in (
        f"ERROR fetch: {tmp_path}/raw: no ACDC patients. ACDC.zip: not downloaded",
        "404 Not Found",
        "ACDC.zip (2 GB) from https://acdc.org: sign in",
        f"Put it at {tmp_path}/raw/ACDC.zip",
        "run the same command again",
        f"python -m salstm fetch --dataset acdc --raw {tmp_path}/raw",
    ):
        assert part in message
    assert not (tmp_path / "raw.json").exists()


def test_a_wrong_archive_leaves_nothing_but_the_reason(server, tmp_path, archive):
    url = server.offer("acdc", archive[:-1] + b"!")
    done = fetch(tmp_path, listed(tmp_path, url, sha256=digits(archive)))
    assert done.returncode == 1
    assert "wrong file, removed" in done.stderr
    assert f"{digits(archive)} is expected" in done.stderr
    assert [*(tmp_path / "raw").rglob("*.zip"), *(tmp_path / "raw").rglob("*.part")] == []


@pytest.fixture
def here(server, tmp_path, archive, monkeypatch):
    """``fetch`` in this process."""
    monkeypatch.delenv(download.TOKEN, raising=False)

    def call(**keys: Any) -> None:
        url = server.offer("acdc", archive)
        urls = keys.pop("urls", (url,))
        file = listed(tmp_path, *urls, **keys)
        download.fetch("acdc", tmp_path / "raw", listed=file, pause=0.01)

    return call


def test_without_a_hash_the_contents_decide(here, tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match=r"differs from the official data.*96 of 100 patients"
    ) as no:
        here()
    raw = tmp_path / "raw"
    kept = raw / "downloads" / "ACDC.zip.rejected"
    assert f"move {kept} to {raw / 'ACDC.zip'}" in str(no.value)
    assert names(raw) == ["downloads"]
    monkeypatch.setattr(acdc, "check", lambda _: [])
    here(hint="sha256:1234")
    assert names(raw) == ["ACDC"]


def test_what_a_person_puts_there_is_taken_with_a_warning(here, tmp_path, archive, server, caplog):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "ACDC.zip").write_bytes(archive)
    here(hint="sha256:1234")
    assert names(tmp_path / "raw") == ["ACDC", "ACDC.zip"]
    assert server.asked == []
    assert "96 of 100 patients missing" in caplog.text
    assert "only a hint" in caplog.text


def test_a_wrong_manual_drop_is_refused_and_stays(here, tmp_path, archive):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "ACDC.zip").write_bytes(archive)
    with pytest.raises(ValueError, match="1234 is expected"):
        here(sha256="1234")
    assert (tmp_path / "raw" / "ACDC.zip").read_bytes() == archive


def test_data_that_are_there_are_used_whatever_they_are(here, tmp_path, phantom, server, caplog):
    shutil.copytree(phantom, tmp_path / "raw")
    here()
    assert server.asked == []
    assert "differs from the official data: 96 of 100" in caplog.text


def test_data_of_which_files_are_missing_are_not_hidden_by_a_download(here, tmp_path, archive):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "ACDC.zip").write_bytes(archive)
    here()
    next((tmp_path / "raw").rglob("patient003_frame*_gt.nii.gz")).unlink()
    assert download.state("acdc", tmp_path / "raw") == "incomplete"
    here()
    with pytest.raises(FileNotFoundError, match="patient003"):
        datasets.raw_manifest("acdc", tmp_path / "raw")


def test_an_archive_that_an_earlier_run_left_is_checked_and_used(here, tmp_path, archive, server):
    (tmp_path / "raw" / "downloads").mkdir(parents=True)
    left = tmp_path / "raw" / "downloads" / "ACDC.zip"
    left.write_bytes(archive[:-5])
    with pytest.raises(ValueError, match="is expected"):
        here(sha256=digits(archive))
    assert not left.exists()
    left.write_bytes(archive)
    here(sha256=digits(archive))
    assert server.asked == []
    assert names(tmp_path / "raw") == ["ACDC"]


def test_an_evil_archive_from_a_trusted_address_writes_nothing(here, server, tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../evil", b"evil")
    url = server.offer("evil", path.read_bytes())
    with pytest.raises(ValueError, match="leaves its folder"):
        here(urls=(url,), sha256=digits(path.read_bytes()))
    assert not (tmp_path / "raw").exists()
    assert not (tmp_path / "evil").exists()


def test_of_two_archives_only_the_missing_one_is_got(server, tmp_path, monkeypatch):
    """ISIC2018: the second archive fails at first; what the official split wants comes on request."""
    parts = {
        "ISIC2018_Task1-2_Training_Input": "ISIC_0000000.jpg",
        "ISIC2018_Task1_Training_GroundTruth": "ISIC_0000000_segmentation.png",
        "ISIC2018_Task1-2_Validation_Input": "ISIC_0012255.jpg",
    }
    archives = []
    for part, name in parts.items():
        path = tmp_path / f"{part}.zip"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(f"{part}/{name}", part)
        url = server.offer(part, path.read_bytes())
        entry = {
            "file": path.name,
            "roots": [part],
            "urls": [url],
            "sha256": digits(path.read_bytes()),
        }
        archives.append({**entry, "needed": "Training" in part})
    source = {"page": "https://isic.org", "manual": "click", "archives": archives}
    file = tmp_path / "isic.yaml"
    file.write_text(yaml.safe_dump({"isic2018": source}))
    raw, truth = tmp_path / "raw", "ISIC2018_Task1_Training_GroundTruth"
    server.tricks[truth] = [404]
    with pytest.raises(FileNotFoundError, match=f"{truth}.zip.*from https://isic.org"):
        download.fetch("isic2018", raw, listed=file, pause=0.0)
    assert names(raw) == ["ISIC2018_Task1-2_Training_Input"]
    assert download.state("isic2018", raw) == "incomplete"
    server.asked.clear()
    download.fetch("isic2018", raw, listed=file, pause=0.0)
    assert server.asked == [(truth, None)]
    assert names(raw) == [*parts][:2]
    download.fetch("isic2018", raw, listed=file, pause=0.0)
    assert len(server.asked) == 1
    download.fetch("isic2018", raw, listed=file, everything=True, pause=0.0)
    assert names(raw) == sorted(parts)


# Synapse

TOKEN = "syn_pat_0123456789_secret"

FAKE_CLIENT = """
import os, shutil, types
from pathlib import Path


class Synapse:
    def __init__(self, silent=None):
        self.token = None

    def login(self, authToken=None, silent=False):
        self.token = authToken
        if os.environ.get("FAKE_TROUBLE"):
            raise RuntimeError(f"401 for header Authorization: Bearer {authToken}")

    def get(self, entity, downloadLocation=None, ifcollision=None):
        assert entity == "syn3379050" and self.token == os.environ["SYNAPSE_AUTH_TOKEN"]
        Path(downloadLocation).mkdir()
        path = shutil.copy(os.environ["FAKE_FILE"], Path(downloadLocation) / "RawData.zip")
        return types.SimpleNamespace(path=str(path))
"""


@pytest.fixture
def synapse(tmp_path, archive):
    """``fetch`` of an archive on synapse.org, with a stand-in for synapseclient."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "synapseclient.py").write_text(FAKE_CLIENT)
    (tmp_path / "served.zip").write_bytes(archive)
    file = listed(tmp_path, synapse="syn3379050", sha256=digits(archive))

    def call(**environment: str) -> subprocess.CompletedProcess:
        fake = {"PYTHONPATH": str(tmp_path / "site"), "FAKE_FILE": str(tmp_path / "served.zip")}
        return fetch(tmp_path, file, **{"SALSTM_OFFLINE": "", **fake, **environment})

    return call


def test_synapse_gives_its_file_for_the_users_token(synapse, tmp_path):
    done = synapse(SYNAPSE_AUTH_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "raw") == ["ACDC"]
    assert TOKEN not in done.stdout + done.stderr


def test_the_token_stays_out_of_messages_and_files(synapse, tmp_path):
    done = synapse(SYNAPSE_AUTH_TOKEN=TOKEN, FAKE_TROUBLE="1")
    assert done.returncode == 1
    assert "401 for header Authorization: Bearer <token>" in done.stderr
    assert "By hand: ACDC.zip" in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in content for content in written)


def test_without_a_token_the_message_says_how_to_get_one(synapse):
    done = synapse(SYNAPSE_AUTH_TOKEN="")
    assert done.returncode == 1
    assert "SYNAPSE_AUTH_TOKEN is not set: make a personal access token" in done.stderr
    assert "By hand: ACDC.zip" in done.stderr


def test_without_synapseclient_the_message_says_how_to_install_it(synapse, tmp_path):
    (tmp_path / "site" / "synapseclient.py").write_text("raise ImportError('none')")
    done = synapse(SYNAPSE_AUTH_TOKEN=TOKEN)
    assert done.returncode == 1
    assert "pip install synapseclient" in done.stderr
    assert TOKEN not in done.stderr


def test_terms_that_are_not_accepted_are_said(tmp_path, monkeypatch):
    nothing = types.SimpleNamespace(path=None)
    session = types.SimpleNamespace(login=lambda **_: None, get=lambda *_, **__: nothing)
    client = types.SimpleNamespace(Synapse=lambda silent: session)
    monkeypatch.setitem(sys.modules, "synapseclient", client)
    monkeypatch.setenv(download.TOKEN, TOKEN)
    monkeypatch.delenv("SALSTM_OFFLINE", raising=False)
    source = sources.load("synapse")
    with pytest.raises(FileNotFoundError, match="accept the terms of use"):
        download._provide(source, source.needed[0], tmp_path, 0.0)


# Where everything comes from


def test_the_list_names_each_dataset_and_every_archive_has_a_way():
    for name in datasets.DATASETS:
        source = sources.load(name)
        assert source.page.startswith("https://")
        assert source.needed
        for archive in source.archives:
            assert bool(archive.urls) != bool(archive.synapse)
            assert all(url.startswith("https://") for url in archive.urls)
            for digits in (archive.sha256, archive.md5):
                assert digits is None or re.fullmatch("[0-9a-f]{32}([0-9a-f]{32})?", digits)
            text = archive.by_hand(source, Path("data/raw") / name)
            assert f"data/raw/{name}/{archive.file}" in text
            assert f"snakemake --cores all {name}" in text


def test_a_list_with_a_mistake_is_refused(tmp_path):
    for keys, reason in (
        ({"sha265": "1"}, "sha265"),
        ({"file": "../x"}, "plain"),
        ({"roots": []}, "roots"),
    ):
        with pytest.raises(ValueError, match=reason):
            sources.load("acdc", listed(tmp_path, **keys))
    with pytest.raises(ValueError, match=r"'isic2018': unknown.*Available: acdc"):
        sources.load("isic2018", listed(tmp_path))
    (tmp_path / "sources.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="not valid YAML"):
        sources.load("acdc", tmp_path / "sources.yaml")


# Weights


OLD = b"\x80" + CONTENT[1:]
"""As torch wrote weights before 1.6: a pickle."""


def test_weights_go_the_same_way(server, tmp_path):
    known = hashlib.sha256(OLD).hexdigest()
    card = {"file": "w.pth", "url": server.offer("w.pth", OLD, 1_000_000), "sha256": known}
    weights.fetch("fanet", card, tmp_path / "fanet.json")
    assert (tmp_path / "w.pth").read_bytes() == OLD
    listed = yaml.safe_load((tmp_path / "fanet.json").read_text())
    assert listed == {"w.pth": {"url": card["url"], "sha256": known, "verified": True}}
    weights.fetch("fanet", card, tmp_path / "again.json")
    assert sum(server.sent) < len(OLD) + 2 * transfer.CHUNK


def zipped(*sizes: int) -> bytes:
    """A ZIP archive, as torch and numpy write weights, of members of these sizes."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        for number, size in enumerate(sizes):
            file.writestr(f"data/{number}", CONTENT[:size])
    return whole.getvalue()


ARCHIVE = zipped(5000, 300)
HEADER = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
TENSORS = len(HEADER).to_bytes(8, "little") + HEADER + b"\0\0\0\0"
ARRIVED = {
    "a login page": ("w.pth", b"<!DOCTYPE html><html>Sign in</html>", "is a web page"),
    "a page after a blank": ("w.npz", b"\r\n <html lang='en'>", "is a web page"),
    "nothing": ("w.pth", b"", "is empty"),
    "half an archive": ("w.pth", ARCHIVE[: len(ARCHIVE) // 2], "is cut off"),
    "a flipped bit": (
        "w.npz",
        ARCHIVE[:999] + bytes([ARCHIVE[999] ^ 1]) + ARCHIVE[1000:],
        "is damaged at data/0",
    ),
    "half a header": ("w.safetensors", TENSORS[:20], "is no whole file of safetensors"),
    "a text": ("w.pth", b"Quota exceeded", "begins with b'Quota ex'"),
}


@pytest.mark.parametrize(("name", "content", "why"), ARRIVED.values(), ids=ARRIVED.keys())
def test_what_arrives_in_place_of_weights_is_named_when_it_arrives(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    card = {"file": name, "url": "https://example.org/page", "sha256": None}
    with pytest.raises(ValueError, match=f"{name}: {re.escape(why)}.*remove it, get it again"):
        weights.fetch("ssformer", card, tmp_path / "ssformer.json")
    assert not (tmp_path / "ssformer.json").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("w.pth", ARCHIVE), ("w.npz", ARCHIVE), ("w.safetensors", TENSORS)]
)
def test_whole_weights_are_taken(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    card = {"file": name, "url": "https://example.org/page", "sha256": None}
    weights.fetch("ssformer", card, tmp_path / "ssformer.json")
    assert (tmp_path / "ssformer.json").is_file()


def test_a_web_page_that_was_downloaded_is_removed(server, tmp_path):
    card = {"file": "w.pth", "url": server.offer("w.pth", b"<html>no</html>"), "sha256": None}
    with pytest.raises(FileNotFoundError, match=r"w\.pth is missing"):
        weights.fetch("ssformer", card, tmp_path / "ssformer.json")
    assert names(tmp_path) == []


def test_weights_of_another_network_are_refused_when_they_arrive(tmp_path):
    (tmp_path / "w.pth").write_bytes(ARCHIVE)
    card = {"file": "w.pth", "url": "https://example.org/page", "sha256": None}

    def fits(path: Path) -> None:
        raise ValueError(f"{path.name} is not MiT-B4: missing keys")

    with pytest.raises(
        ValueError, match=r"not the weights that ssformer starts from: w\.pth is not"
    ):
        weights.fetch("ssformer", card, tmp_path / "ssformer.json", fits=fits)
    assert not (tmp_path / "ssformer.json").exists()


def test_wrong_weights_are_removed_and_the_card_speaks(server, tmp_path):
    name = "resnet-00000000.pth"
    card = {"file": name, "url": server.offer(name, OLD), "sha256": None, "note": "also at X"}
    with pytest.raises(FileNotFoundError, match=r"The card says: also at X\..*wrong file, removed"):
        weights.fetch("fanet", card, tmp_path / "fanet.json")
    assert names(tmp_path) == []
    (tmp_path / name).write_bytes(OLD)
    with pytest.raises(ValueError, match="00000000 is expected"):
        weights.fetch("fanet", card, tmp_path / "fanet.json")


def test_weights_behind_a_page_end_with_instructions(server, tmp_path):
    card = {"file": "w.pth", "url": server.url("folder"), "sha256": None}
    with pytest.raises(FileNotFoundError, match=r"w\.pth is missing\. Get w\.pth from"):
        weights.fetch("ssformer", card, tmp_path / "ssformer.json")
    assert server.asked == []
    with pytest.raises(ValueError, match="no published weights"):
        weights.fetch("unet", {"scratch": True}, tmp_path / "unet.json")


def test_a_failure_leaves_no_folder_where_there_was_none(tmp_path, monkeypatch):
    """The raw folder may be a slip of the pen."""
    monkeypatch.setenv("SALSTM_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="no ISIC2018 images"):
        download.fetch("isic2018", tmp_path / "no" / "such" / "raw")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "raw").mkdir()
    with pytest.raises(FileNotFoundError, match="no ISIC2018 images"):
        download.fetch("isic2018", tmp_path / "raw")
    assert list((tmp_path / "raw").iterdir()) == []
