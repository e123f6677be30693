"""Fetching: whatever the servers do, the right bytes arrive or a clear error does."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faulty_server import Fault, Server, serving

from yolo.data.archives.reader import Limits
from yolo.data.download import fetch as module
from yolo.data.download.descriptor import Archive, PublishedFile
from yolo.data.download.fetch import Patience, fetch, fetch_all
from yolo.errors import UserError
from yolo.files import digest
from yolo.runtime.meter import Meter

NOISE = os.urandom(600_000)


def tar_of(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("noise")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


DATA = tar_of(NOISE)
SHA = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()
HALF = 327_680  # five chunks of the transport


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"a.tar": DATA, "mirror/a.tar": DATA}) as running:
        yield running


class Waits(list[float]):
    """Stands in for time.sleep and keeps what was asked of it."""

    def patience(self, **changes: Any) -> Patience:
        return Patience(**{"sleep": self.append, "read_timeout": 0.3, "attempts": 3, **changes})


@pytest.fixture
def waits() -> Waits:
    return Waits()


def archive(server: Server, *paths: str, **changes: Any) -> Archive:
    urls = [server.url(path) for path in paths or ("a.tar",)]
    values = {"name": "a.tar", "urls": urls, "sha256": SHA, "size": len(DATA), **changes}
    return Archive.model_validate(values)


def ranges(server: Server) -> list[str]:
    return [wanted for _, wanted in server.requests]


def only_file(folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["a.tar"]
    assert (folder / "a.tar").read_bytes() == DATA


@pytest.mark.parametrize("sums", [{}, {"sha256": None, "md5": MD5}, {"size": None}])
def test_a_good_server_is_asked_once(
    sums: dict[str, Any], server: Server, tmp_path: Path, waits: Waits
) -> None:
    assert fetch(archive(server, **sums), tmp_path, waits.patience()) == tmp_path / "a.tar"
    only_file(tmp_path)
    assert server.requests == [("/a.tar", "")]
    assert waits == []


def test_a_verified_archive_is_not_fetched_again(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    for _ in range(2):
        fetch(archive(server), tmp_path, waits.patience())
    assert len(server.requests) == 1


def test_a_changed_archive_is_fetched_again(server: Server, tmp_path: Path, waits: Waits) -> None:
    (tmp_path / "a.tar").write_bytes(DATA[:-1] + b"x")
    fetch(archive(server), tmp_path, waits.patience())
    only_file(tmp_path)


@pytest.mark.parametrize("fault", [Fault(send=HALF), Fault(send=HALF, then="stall")])
def test_after_a_break_only_the_rest_is_asked_for(
    fault: Fault, server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [fault]
    fetch(archive(server), tmp_path, waits.patience())
    only_file(tmp_path)
    assert ranges(server) == ["", f"bytes={HALF}-"]
    assert server.sent == len(DATA)
    assert waits == [1.0]


def test_progress_resets_the_count_of_attempts(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(send=65_536) for _ in range(8)]
    fetch(archive(server), tmp_path, waits.patience(attempts=2))
    only_file(tmp_path)
    assert waits == [1.0] * 8


def test_a_server_that_ignores_ranges_sends_all_again(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(send=HALF), Fault(ignore_range=True)]
    fetch(archive(server), tmp_path, waits.patience())
    only_file(tmp_path)
    assert server.sent == HALF + len(DATA)


def test_ignored_ranges_and_breaks_together_end(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(send=HALF, ignore_range=True) for _ in range(9)]
    with pytest.raises(UserError, match=r"\(3 attempts without a new byte\)"):
        fetch(archive(server), tmp_path, waits.patience())
    assert len(server.requests) == 3


def test_another_range_than_asked_for_is_not_used(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(send=HALF), Fault(shift_range=7)]
    fetch(archive(server), tmp_path, waits.patience())
    only_file(tmp_path)
    assert ranges(server) == ["", f"bytes={HALF}-", ""]


def test_too_many_bytes_received_restart_on_416(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    other = archive(server, size=None)
    server.files["a.tar"] = DATA + bytes(10_000)
    server.faults = [Fault(send=len(DATA) + 5000)]
    with pytest.raises(UserError):
        fetch(other, tmp_path, waits.patience(attempts=1))
    server.files["a.tar"] = DATA
    fetch(other, tmp_path, waits.patience())
    only_file(tmp_path)
    assert ranges(server)[-1] == ""


def test_a_complete_partial_file_needs_no_byte_more(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(send=HALF)]
    with pytest.raises(UserError):
        fetch(archive(server, size=None), tmp_path, waits.patience(attempts=1))
    (tmp_path / "a.tar.part").write_bytes(DATA)
    fetch(archive(server, size=None), tmp_path, waits.patience())
    only_file(tmp_path)
    assert server.sent == HALF
    assert ranges(server) == ["", f"bytes={len(DATA)}-"]


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_passing_trouble_is_waited_for_with_back_off(
    status: int, server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(status=status), Fault(status=status)]
    fetch(archive(server), tmp_path, waits.patience())
    only_file(tmp_path)
    assert waits == [1.0, 2.0]


def test_the_wait_that_a_server_asks_for_is_kept(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(status=503, retry_after="7"), Fault(status=503, retry_after="9999")]
    fetch(archive(server), tmp_path, waits.patience())
    assert waits == [7.0, 60.0]


@pytest.mark.parametrize("status", [404, 403, 410, 401])
def test_final_refusals_go_to_the_next_mirror_at_once(
    status: int, server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(status=status)]
    fetch(archive(server, "a.tar", "mirror/a.tar"), tmp_path, waits.patience())
    only_file(tmp_path)
    assert [path for path, _ in server.requests] == ["/a.tar", "/mirror/a.tar"]
    assert waits == []


def test_the_next_mirror_goes_on_where_the_first_gave_up(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(send=HALF), *[Fault(status=500) for _ in range(2)]]
    fetch(archive(server, "a.tar", "mirror/a.tar"), tmp_path, waits.patience())
    only_file(tmp_path)
    assert server.requests[-1] == ("/mirror/a.tar", f"bytes={HALF}-")
    assert server.sent == len(DATA)


def test_without_a_checksum_mirrors_are_not_mixed(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(send=HALF), *[Fault(status=500) for _ in range(2)]]
    unknown = archive(server, "a.tar", "mirror/a.tar", sha256=None, size=None)
    fetch(unknown, tmp_path, waits.patience())
    assert server.requests[-1] == ("/mirror/a.tar", "")
    assert (tmp_path / "a.tar").read_bytes() == DATA


def test_without_a_checksum_a_new_version_is_fetched_whole(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    new = tar_of(os.urandom(600_000))
    unknown = archive(server, sha256=None, size=None)
    server.faults = [Fault(send=HALF)]
    with pytest.raises(UserError):
        fetch(unknown, tmp_path, waits.patience(attempts=1))
    server.files["a.tar"] = new
    server.faults = [Fault(version='"v2"')]
    fetch(unknown, tmp_path, waits.patience())
    assert (tmp_path / "a.tar").read_bytes() == new


def test_without_a_checksum_the_limits_of_the_user_count(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    unknown = archive(server, sha256=None, size=None)
    with pytest.raises(UserError, match="the limit"):
        fetch(unknown, tmp_path, waits.patience(attempts=1), Limits(members=0))
    fetch(unknown, tmp_path, waits.patience(attempts=1), Limits(members=1))


def test_without_checksum_and_version_nothing_is_resumed(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    unknown = archive(server, sha256=None)
    server.faults = [Fault(send=HALF, plain=True), Fault(plain=True)]
    fetch(unknown, tmp_path, waits.patience())
    assert ranges(server) == ["", ""]
    assert (tmp_path / "a.tar").read_bytes() == DATA


def test_an_unknown_sum_is_recorded_and_then_binds_the_copy_that_is_there(
    server: Server, tmp_path: Path, waits: Waits, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = archive(server, sha256=None, size=None)
    fetch(unknown, tmp_path, waits.patience())
    assert f"no checksum was known; sha256 {SHA} is recorded" in capsys.readouterr().err
    fetch(unknown, tmp_path, waits.patience())
    assert len(server.requests) == 1
    (tmp_path / "a.tar").write_bytes(tar_of(b"other"))
    fetch(unknown, tmp_path, waits.patience())
    assert len(server.requests) == 2
    assert (tmp_path / "a.tar").read_bytes() == DATA


def test_a_page_in_place_of_an_archive_is_not_taken(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.files["a.tar"] = b"<html>log in first</html>"
    with pytest.raises(UserError, match="it sent a web page in place of the file"):
        fetch(archive(server, sha256=None, size=None), tmp_path, waits.patience())
    assert list(tmp_path.iterdir()) == []


def test_corrupt_bytes_are_never_visible_and_the_next_mirror_is_tried(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(corrupt=True)]
    fetch(archive(server, "a.tar", "mirror/a.tar"), tmp_path, waits.patience())
    only_file(tmp_path)
    assert [path for path, _ in server.requests] == ["/a.tar", "/mirror/a.tar"]


def test_a_corrupt_piece_makes_the_same_mirror_send_all_again(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(send=HALF, corrupt=True)]
    fetch(archive(server), tmp_path, waits.patience())
    only_file(tmp_path)
    assert ranges(server) == ["", f"bytes={HALF}-", ""]


def test_checksum_mismatch_names_file_sums_and_remedy(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    expected = "0" * 64
    with pytest.raises(UserError) as failure:
        fetch(archive(server, sha256=expected), tmp_path, waits.patience())
    text = str(failure.value)
    assert f"checksum mismatch of a.tar: sha256 {SHA}, expected {expected}" in text
    assert server.url("a.tar") in text
    assert "correct the descriptor" in text
    assert list(tmp_path.iterdir()) == []


def test_another_size_is_refused_before_it_is_transferred(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    with pytest.raises(UserError, match=f"it has {len(DATA)} bytes, 5 are expected"):
        fetch(archive(server, size=5), tmp_path, waits.patience())
    assert list(tmp_path.iterdir()) == []


def test_every_mirror_and_its_reason_is_named(server: Server, tmp_path: Path, waits: Waits) -> None:
    server.faults = [Fault(status=404), *[Fault(status=500) for _ in range(3)]]
    gone = archive(server, "a.tar", "mirror/a.tar", "x").model_copy(
        update={"urls": [*archive(server, "a.tar", "mirror/a.tar").urls, "http://127.0.0.1:9/x"]}
    )
    with pytest.raises(UserError) as failure:
        fetch(gone, tmp_path, waits.patience())
    lines = str(failure.value).splitlines()
    assert lines[0] == "a.tar could not be fetched:"
    assert lines[1].strip() == f"{server.url('a.tar')}: status 404 Not Found"
    assert lines[2].strip().startswith(f"{server.url('mirror/a.tar')}: status 500")
    assert lines[3].strip().startswith("http://127.0.0.1:9/x: ConnectionError")
    assert "0x" not in lines[3]


def test_kill_in_the_middle_loses_nothing_that_has_arrived(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(send=HALF, then="stall")]
    wanted = archive(server)
    script = (
        "import sys; from pathlib import Path; from yolo.data.download.fetch import fetch; "
        "from yolo.data.download.descriptor import Archive; "
        "fetch(Archive.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, wanted.model_dump_json(), tmp_path],
        cwd=Path(__file__).parents[3],
    )
    part = tmp_path / "a.tar.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size == HALF):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "a.tar").exists()
    fetch(wanted, tmp_path, waits.patience())
    only_file(tmp_path)
    assert ranges(server) == ["", f"bytes={HALF}-"]
    assert server.sent == len(DATA)


def test_a_partial_file_of_another_archive_of_that_name_is_not_used(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    server.faults = [Fault(send=HALF)]
    with pytest.raises(UserError):
        fetch(archive(server, sha256="1" * 64), tmp_path, waits.patience(attempts=1))
    assert (tmp_path / "a.tar.part").stat().st_size == HALF
    fetch(archive(server, "mirror/a.tar"), tmp_path, waits.patience())
    assert server.requests[-1] == ("/mirror/a.tar", "")
    only_file(tmp_path)


def test_too_little_room_is_said_before_the_first_request(
    server: Server, tmp_path: Path, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = module.shutil.disk_usage(tmp_path)._replace(free=500_000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(UserError, match=f"{len(DATA)} bytes are to come and .* for 500000"):
        fetch_all([archive(server)], tmp_path, waits.patience())
    assert server.requests == []


def test_several_archives_come_in_the_order_given(
    server: Server, tmp_path: Path, waits: Waits
) -> None:
    both = [archive(server, name="b.tar"), archive(server, "mirror/a.tar")]
    paths = fetch_all(both, tmp_path / "new", waits.patience())
    assert [path.name for path in paths] == ["b.tar", "a.tar"]
    assert all(digest(path) == SHA for path in paths)


def test_any_address_that_fsspec_opens_will_do(tmp_path: Path, waits: Waits) -> None:
    (tmp_path / "far.tar").write_bytes(DATA)
    local = Archive(
        name="a.tar",
        urls=[f"file://{tmp_path}/missing.tar", f"file://{tmp_path}/far.tar"],
        sha256=SHA,
    )
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "a.tar.part").write_bytes(DATA[:1000])
    (folder / "a.tar.part.json").write_text(f'{{"checksum": ["sha256", "{SHA}"]}}')
    fetch(local, folder, waits.patience())
    only_file(folder)


def test_an_address_that_nothing_opens_is_named(tmp_path: Path, waits: Waits) -> None:
    with pytest.raises(UserError, match=r"nosuch://x/a\.tar: Protocol not known: nosuch"):
        fetch(Archive(name="a.tar", urls=["nosuch://x/a.tar"]), tmp_path, waits.patience())


def test_progress_tells_rate_and_time_left() -> None:
    with Meter("a.tar", start=100 << 20, total=400 << 20) as meter:
        meter.add(50 << 20)
        assert meter.line(10.0) == "a.tar: 150.0 of 400.0 MiB, 5.0 MiB/s, 0:50 left"
    with Meter("b.tar", start=0, total=None) as meter:
        meter.add(3 << 20)
        assert meter.line(2.0) == "b.tar: 3.0 MiB, 1.5 MiB/s"


PAGE = b"<!DOCTYPE html><html><body>Access denied</body></html>"


@pytest.mark.parametrize("known", [{"sha256": SHA}, {"sha256": SHA, "size": len(DATA)}, {}])
def test_a_firewalls_page_moves_on_to_the_next_address_and_says_so(
    known: dict[str, Any], tmp_path: Path, waits: Waits, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving({"blocked/a.tar": PAGE, "mirror/a.tar": DATA}) as server:
        urls = [server.url("blocked/a.tar"), server.url("mirror/a.tar")]
        path = fetch(Archive(name="a.tar", urls=urls, **known), tmp_path, waits.patience())
    assert path.read_bytes() == DATA
    assert f"{urls[0]}: it sent a web page in place of the file" in capsys.readouterr().err


def test_an_alternative_of_another_format_stands_in(tmp_path: Path, waits: Waits) -> None:
    blob = io.BytesIO()
    with zipfile.ZipFile(blob, "w") as archive:
        archive.writestr("noise", NOISE)
    with serving({"a.tar": PAGE, "a.zip": blob.getvalue()}) as server:
        wanted = Archive(
            name="a.tar",
            urls=[server.url("a.tar")],
            sha256=SHA,
            alternatives=[PublishedFile(name="a.zip", urls=[server.url("a.zip")])],
        )
        path = fetch(wanted, tmp_path, waits.patience())
        assert path == tmp_path / "a.zip"
        asked = len(server.requests)
        assert fetch_all([wanted], tmp_path, waits.patience()) == [path]
        assert len(server.requests) == asked, "what is there is not fetched again"


def test_the_addresses_of_alternatives_are_named_too(tmp_path: Path, waits: Waits) -> None:
    with serving({"a.tar": DATA[:1000], "a.zip": b"PK\x03\x04 cut"}) as server:
        wanted = Archive(
            name="a.tar",
            urls=[server.url("a.tar")],
            sha256=SHA,
            alternatives=[PublishedFile(name="a.zip", urls=[server.url("a.zip")])],
        )
        with pytest.raises(UserError) as caught:
            fetch(wanted, tmp_path, waits.patience())
    assert "a.tar: checksum mismatch" in str(caught.value)
    assert "a.zip: what it sent is no archive" in str(caught.value)
    assert not list(tmp_path.glob("a.*")), "nothing half is left"
