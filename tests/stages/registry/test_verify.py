"""A version verifies as long as tag, dvc.lock, card and bytes agree; then it says what differs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from released_project import CARD, TAG, Release

from stages.registry.verify import report, verify
from yolo.errors import UserError
from yolo.files import digest


def flip(path: Path) -> None:
    """Change one byte."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def refusal(**options: Path) -> str:
    with pytest.raises(UserError) as raised:
        verify(TAG, **options)
    said = str(raised.value)
    assert "\n" not in said
    return said


def test_a_whole_version_is_verified(release: Release) -> None:
    found = verify(TAG)
    assert found.commit == release.git("rev-parse", "HEAD")
    assert (found.md5, found.sha256) == (release.md5, digest(release.weights))
    assert [path.resolve() for path in found.copies] == [release.weights]
    for part in (f"{TAG} is whole", found.commit, found.sha256, CARD):
        assert part in report(found)


def test_one_byte_of_the_weights_is_enough(release: Release) -> None:
    flip(release.weights)
    assert f"the bytes of models/detector.safetensors differ from the card of {TAG}" in refusal()


def in_dvc_cache(release: Release) -> Path:
    return release.root / f".dvc/cache/files/md5/{release.md5[:2]}/{release.md5[2:]}"


def in_cache_of_models(release: Release) -> Path:
    return release.root.parent / f"cache/yolov1/detector-{release.md5}.safetensors"


@pytest.mark.parametrize("place", [in_dvc_cache, in_cache_of_models])
def test_every_copy_on_this_machine_is_looked_at(
    release: Release, place: Callable[[Release], Path]
) -> None:
    copy = place(release)
    copy.parent.mkdir(parents=True)
    shutil.copyfile(release.weights, copy)
    assert len(verify(TAG).copies) == 2
    release.weights.unlink()
    assert [path.resolve() for path in verify(TAG).copies] == [copy]
    flip(copy)
    assert copy.name in refusal()


def test_a_copy_from_elsewhere_is_compared_too(release: Release, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    shutil.copyfile(release.weights, copy)
    assert copy in verify(TAG, copy).copies
    flip(copy)
    assert "copy.safetensors differ" in refusal(file=copy)
    assert "there is no weights file" in refusal(file=tmp_path / "none")


def test_weights_of_a_later_version_are_not_taken_for_this_one(release: Release) -> None:
    shutil.copyfile(release.weights, release.root.parent / "first")
    flip(release.weights)
    release.lock(release.md5)
    release.commit()
    copy = release.root.parent / "first"
    assert verify(TAG, copy).copies == (copy,)


@pytest.mark.parametrize("name", [CARD, "dvc.lock"])
def test_a_changed_file_of_the_release_is_named(release: Release, name: str) -> None:
    path = release.root / name
    path.write_text(path.read_text() + "\n")
    assert refusal() == f"{name} in this folder differs from that of {TAG}"


def test_a_moved_tag_is_found_out(release: Release) -> None:
    release.lock("f" * 32)
    release.commit()
    release.retag()
    assert "dvc.lock of detector@v1.0.0 differs from the card: it names MD5 ffff" in refusal()


def test_a_card_that_was_rewritten_in_git_is_found_out(release: Release) -> None:
    whole = release.card.read_text()
    for old, new, said in (
        (digest(release.weights), "0" * 64, "the bytes of models/detector.safetensors differ"),
        ("- SHA-256", "- SHA-1", "names no SHA-256"),
        (f"# {TAG}", "# detector@v2.0.0", "is the card of another version"),
    ):
        release.card.write_text(whole.replace(old, new))
        release.commit()
        release.retag()
        assert said in refusal()
    release.card.unlink()
    release.commit()
    release.retag()
    assert f"the commit of {TAG} has no model card" in refusal()


def test_a_lock_that_cannot_be_read_is_one_sentence(release: Release) -> None:
    (release.root / "dvc.lock").write_text("stages: {\n")
    release.commit()
    release.retag()
    assert "dvc.lock of detector@v1.0.0 does not name the weights" in refusal()


def test_a_version_that_is_not_there_names_those_that_are(release: Release) -> None:
    with pytest.raises(UserError, match=r"no version detector@v9\.0\.0 here; released are: detec"):
        verify("detector@v9.0.0")
    release.git("tag", f"{TAG}!")
    assert "released are: none" in refusal()
