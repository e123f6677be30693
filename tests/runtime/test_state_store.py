"""States of trainings in a bucket of a real S3 protocol server, and what may go wrong there."""

import json
import threading
import time
from pathlib import Path

import pytest
from s3_server import ADDRESS, BUCKET, s3_server

from yolo.errors import UserError
from yolo.runtime.state_store import StateStore
from yolo.runtime.state_upload import StateUploader

LEASE = 2.0


@pytest.fixture(scope="module")
def module_server():
    with s3_server() as server:
        yield server


@pytest.fixture
def server(module_server, monkeypatch):
    for name, value in module_server.environment.items():
        monkeypatch.setenv(name, value)
    for key in module_server.paths():
        module_server.client.delete_object(Bucket=BUCKET, Key=key)
    yield module_server
    module_server.wire.mend()


def store_of(owner="aaaa", training="pretrain/0", lease=LEASE, address=ADDRESS):
    return StateStore(address, training, owner, lease=lease)


def state_file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    return path


def updates_of(path):
    """In these tests a state begins with its number of updates."""
    return int(path.read_bytes().split()[0])


def eventually(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def test_the_newest_state_is_fetched_and_only_two_are_kept(server, tmp_path):
    store = store_of()
    store.claim()
    for number in (1, 2, 30):
        store.upload(state_file(tmp_path, b"%d" % number), number)
    assert [name.partition("-")[0] for name in server.files(".pt")] == ["0000000002", "0000000030"]
    assert len(server.files(".json")) == 2
    fetched = tmp_path / "fetched"
    assert store_of("bbbb").fetch_newest(fetched, 29) == 30
    assert fetched.read_bytes() == b"30"
    assert store_of("bbbb").fetch_newest(fetched, 30) is None
    store.remove_states()
    assert server.files() == ["aaaa.claim"]


@pytest.mark.parametrize("damage", ["corrupt", "short", "gone", "undescribed", "half described"])
def test_a_state_that_is_not_whole_is_passed_over(server, tmp_path, damage, capsys):
    store = store_of()
    store.claim()
    store.upload(state_file(tmp_path, b"older" * 1000), 1)
    store.upload(state_file(tmp_path, b"newer" * 1000), 2)
    state, described = server.paths(".pt")[-1], server.paths(".json")[-1]
    if damage in ("gone", "undescribed"):
        server.client.delete_object(Bucket=BUCKET, Key=state if damage == "gone" else described)
    else:
        key = described if damage == "half described" else state
        body = {"corrupt": b"never" * 1000, "short": b"newer", "half described": b'{"upda'}[damage]
        server.client.put_object(Bucket=BUCKET, Key=key, Body=body)
    fetched = tmp_path / "fetched"
    assert store_of("bbbb").fetch_newest(fetched, 0) == 1
    assert fetched.read_bytes() == b"older" * 1000
    assert ("is damaged; passed over" in capsys.readouterr().err) == (damage != "undescribed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fetched", "state.pt"]


def test_an_upload_that_is_cut_leaves_the_state_before(server, tmp_path):
    """Once within the bytes of a state, once before its description."""
    store = store_of()
    store.claim()
    store.upload(state_file(tmp_path, b"1 " + b"x" * 100_000), 1)
    server.wire.cut(after=50_000)
    with pytest.raises(Exception):  # noqa: B017
        store.upload(state_file(tmp_path, b"2 " + b"y" * 100_000), 2)
    server.wire.mend()
    server.client.put_object(Bucket=BUCKET, Key="training/pretrain/0/0000000003-x.pt", Body=b"3")
    fetched = tmp_path / "fetched"
    assert store_of("bbbb").fetch_newest(fetched, 0) == 1
    assert fetched.read_bytes().startswith(b"1 ")
    # the next upload clears what was left
    store.upload(state_file(tmp_path, b"4"), 4)
    assert [name.partition("-")[0] for name in server.files(".pt")] == ["0000000001", "0000000004"]


def test_a_second_machine_is_refused_while_the_first_renews_its_claim(server, capsys):
    first = store_of("aaaa", lease=8)
    first.claim()
    done = threading.Event()

    def keep():
        while not done.wait(1):
            assert first.renew()

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        with pytest.raises(UserError, match="runs the same training") as refused:
            store_of("bbbb", lease=8).claim()
    finally:
        done.set()
        thread.join()
    assert ADDRESS in str(refused.value)
    assert "waiting for machine" in capsys.readouterr().err
    assert server.files(".claim") == ["aaaa.claim"]
    # another training may begin at once
    store_of("bbbb", "pretrain/1").claim()


def test_the_claim_of_a_dead_machine_lapses_and_its_owner_notices(server):
    dead = store_of("aaaa")
    dead.claim()
    successor = store_of("bbbb")
    successor.claim()
    assert server.files(".claim") == ["bbbb.claim"]
    assert not dead.renew()
    assert successor.renew()
    assert server.files(".claim") == ["bbbb.claim"]


def test_a_machine_that_was_killed_does_not_wait_for_its_own_claim(server):
    store_of("aaaa", lease=1000).claim()
    started = time.monotonic()
    store_of("aaaa", lease=1000).claim()
    assert time.monotonic() - started < 100


def test_of_machines_that_begin_at_once_one_gets_the_training(server):
    got, refused = [], []

    def begin(owner):
        try:
            store_of(owner, lease=8).claim()
            got.append(owner)
        except UserError:
            refused.append(owner)

    threads = [threading.Thread(target=begin, args=(f"{n}" * 4,)) for n in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: got)
    winner = store_of(got[0], lease=8)
    while any(thread.is_alive() for thread in threads):
        assert winner.renew()
        time.sleep(0.3)
    assert len(got) == 1
    assert len(refused) == 2


def test_wrong_credentials_and_missing_buckets_are_told_at_once(server, monkeypatch):
    with pytest.raises(UserError, match=r"s3://absent/x.*credentials") as error:
        store_of(address="s3://absent/x").claim()
    assert "YOLO_RUNS" in str(error.value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    server.ask_for_credentials()
    try:
        with pytest.raises(UserError, match="Check the address, the credentials"):
            store_of().claim()
    finally:
        server.ask_for_nothing()


def test_no_server_is_told_at_once(server):
    server.wire.cut()
    with pytest.raises(UserError, match="YOLO_RUNS"):
        store_of().claim()


@pytest.mark.parametrize("address", ["nothing://x/y", "gs://x/y"])
def test_an_address_without_a_backend_is_refused(address):
    with pytest.raises(UserError, match=address.partition(":")[0]):
        store_of(address=address)


def test_a_folder_by_address_is_a_store_too(tmp_path):
    address = f"file://{tmp_path}/shared"
    store = store_of(address=address)
    store.claim()
    store.upload(state_file(tmp_path, b"7"), 7)
    other = store_of("bbbb", address=address)
    assert other.fetch_newest(tmp_path / "fetched", 0) == 7
    store.release()
    other.claim()


def test_a_password_in_the_address_is_not_shown():
    assert StateStore("memory://me:secret@host/x", "a/b", "c").shown == "memory://host/x"


def test_old_trainings_are_removed_but_not_one_that_runs(server, tmp_path):
    for number in range(6):
        store = store_of("aaaa", f"pretrain/{number}", lease=1000)
        store.claim()
        store.upload(state_file(tmp_path, b"1"), 1)
        if number != 1:
            store.release()
    store_of("bbbb", "detect_train/9").upload(tmp_path / "state.pt", 1)
    new = store_of("bbbb", "pretrain/new", lease=1000)
    new.claim()
    new.remove_old_trainings()
    kept = {key.split("/")[-2] for key in server.paths() if "/pretrain/" in key}
    assert {"1", "new"} <= kept
    assert len(kept) == 4
    assert any("/detect_train/9/" in key for key in server.paths())


def uploader_of(store, state, every=0.001, lease=LEASE):
    return StateUploader(store, state, updates_of, every=every, lease=lease)


def replace(state: Path, content: bytes) -> None:
    temporary = state.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(state)


def test_states_go_up_beside_the_training_and_the_last_at_its_end(server, tmp_path):
    store, state = store_of(), state_file(tmp_path, b"1 state")
    store.claim()
    uploader = uploader_of(store, state)
    eventually(lambda: any(name.startswith("0000000001") for name in server.files(".json")))
    replace(state, b"2 state")
    uploader.close()
    assert server.files(".json")[-1].startswith("0000000002")
    assert not server.files(".claim")
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_states_go_up_no_more_often_than_wanted(server, tmp_path):
    store, state = store_of(lease=0.2), state_file(tmp_path, b"1 state")
    store.claim()
    uploader = uploader_of(store, state, every=1000, lease=0.2)
    first = server.client.list_objects_v2(Bucket=BUCKET)["Contents"][0]["LastModified"]

    def has_renewed():
        entry = server.client.list_objects_v2(Bucket=BUCKET)["Contents"][0]
        return entry["LastModified"] > first

    eventually(has_renewed)
    assert not server.files(".pt")
    uploader.close()
    assert len(server.files(".pt")) == 1


def test_a_bucket_that_is_away_for_a_while_is_told_once_and_caught_up(server, tmp_path, capsys):
    store, state = store_of(lease=1.0), state_file(tmp_path, b"1 state")
    store.claim()
    server.wire.cut()
    uploader = uploader_of(store, state, lease=1.0)
    said = ""

    def has_said(text):
        nonlocal said
        said += capsys.readouterr().err
        return text in said

    eventually(lambda: has_said("the training goes on"))
    replace(state, b"2 state")
    server.wire.mend()
    eventually(lambda: has_said("answers again; it holds the state of batch"))
    eventually(lambda: any(name.startswith("0000000002") for name in server.files(".json")))
    assert said.count("could not be sent") == 1
    uploader.close()


def test_a_finished_training_leaves_nothing(server, tmp_path):
    store, state = store_of(), state_file(tmp_path, b"1 state")
    store.claim()
    uploader = uploader_of(store, state)
    eventually(lambda: server.files(".json"))
    state.unlink()
    uploader.finish()
    uploader.close()
    assert server.files() == []


def test_a_machine_that_lost_its_claim_goes_on_without_uploads(server, tmp_path, capsys):
    store, state = store_of(lease=0.4), state_file(tmp_path, b"1 state")
    store.claim()
    key = server.paths(".claim")[0]
    server.client.delete_object(Bucket=BUCKET, Key=key)
    body = json.dumps({"machine": "other", "holds": True}).encode()
    other = key.replace("aaaa", "bbbb")
    server.client.put_object(Bucket=BUCKET, Key=other, Body=body)
    uploader = uploader_of(store, state, every=1000, lease=0.4)
    said = ""

    def has_said():
        nonlocal said
        said += capsys.readouterr().err
        return "has taken this training over" in said

    eventually(has_said)
    uploader.close()
    assert server.paths() == [other]
