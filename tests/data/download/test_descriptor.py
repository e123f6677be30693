"""Descriptors: strict, and the ones that are shipped are right."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from yolo.data.download.descriptor import (
    HuggingFace,
    NoSet,
    Published,
    SyntheticClassification,
    SyntheticDetection,
    is_descriptor,
    read_descriptor,
)
from yolo.errors import UserError

SOURCES = Path(__file__).parents[3] / "sources"
ARCHIVE = {"name": "a.tar", "urls": ["https://host/a.tar"], "md5": None, "size": None}
SET = {"title": "A set", "licence": "none"}


def write(path: Path, document: object) -> Path:
    YAML().dump(document, path)
    return path


def test_every_shipped_descriptor_is_valid() -> None:
    kinds = {path.name: type(read_descriptor(path)) for path in SOURCES.glob("*.yaml")}
    assert kinds == {
        "imagenet-100.yaml": HuggingFace,
        "none.yaml": NoSet,
        "voc0712.yaml": Published,
        "voc2012.yaml": Published,
        "synthetic-classification.yaml": SyntheticClassification,
        "synthetic-detection.yaml": SyntheticDetection,
    }


def test_the_known_sums_of_voc_are_binding() -> None:
    described = read_descriptor(SOURCES / "voc0712.yaml")
    assert isinstance(described, Published)
    assert {archive.name: archive.checksum for archive in described.archives} == {
        "VOCtrainval_06-Nov-2007.tar": _sha256(
            "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508"
        ),
        "VOCtest_06-Nov-2007.tar": _sha256(
            "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892"
        ),
        "VOCtrainval_11-May-2012.tar": _sha256(
            "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb"
        ),
    }
    twelve = read_descriptor(SOURCES / "voc2012.yaml")
    assert isinstance(twelve, Published)
    assert twelve.archives == described.archives[2:]


def _sha256(digest: str) -> tuple[str, str]:
    return "sha256", digest


def test_each_archive_of_voc_has_independent_hosts() -> None:
    described = read_descriptor(SOURCES / "voc0712.yaml")
    assert isinstance(described, Published)
    for archive in described.archives:
        owners = {".".join(urlsplit(url).netloc.split(".")[-2:]) for url in archive.urls}
        assert len(owners) >= 2, archive.name


def test_an_archive_without_a_known_sum_is_allowed(tmp_path: Path) -> None:
    described = read_descriptor(write(tmp_path / "s.yaml", {**SET, "archives": [ARCHIVE]}))
    assert isinstance(described, Published)
    assert described.archives[0].checksum is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../a.tar"}, "archives.0.name is '../a.tar'; it must be a plain file name"),
        ({"name": ".a.tar"}, "must be a plain file name"),
        ({"urls": []}, "archives.0.urls"),
        ({"urls": ["host/a.tar"]}, "must be an address such as https"),
        ({"md5": "123"}, "archives.0.md5 is '123'"),
        ({"md5": "0" * 32, "sha256": "0" * 64}, "has both sha256 and md5"),
        ({"size": "5"}, "archives.0.size is '5'"),
        ({"sum": "5"}, "unknown key archives.0.sum"),
    ],
)
def test_wrong_archives_are_named(change: dict[str, object], words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", {**SET, "archives": [{**ARCHIVE, **change}]})
    with pytest.raises(UserError) as failure:
        read_descriptor(path)
    assert str(path) in str(failure.value)
    assert words in str(failure.value)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (
            {**SET},
            "exactly one of the keys archives, huggingface, synthetic, none; it has none of them",
        ),
        ({**SET, "archives": [], "synthetic": "detection"}, "it has archives, synthetic"),
        ({**SET, "archives": [], "none": True}, "it has archives, none"),
        ({**SET, "archives": [ARCHIVE, ARCHIVE]}, "archives of one name"),
        ({"title": "A set", "archives": [ARCHIVE]}, "missing key licence"),
        (
            {**SET, "synthetic": "segmentation"},
            "'segmentation'; allowed: classification, detection",
        ),
        ({**SET, "huggingface": {"repo": "a/b", "revision": "main"}}, "huggingface.revision"),
        ({**SET, "synthetic": "detection", "recipe": {}}, "missing key recipe.seed"),
        (["a"], "must be a mapping"),
    ],
)
def test_wrong_descriptors_are_named(document: object, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "s.yaml", document)
    with pytest.raises(UserError) as failure:
        read_descriptor(path)
    assert words in str(failure.value)


def test_a_missing_descriptor_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml does not exist"):
        read_descriptor(tmp_path / "none.yaml")


def test_descriptors_are_told_by_their_suffix() -> None:
    assert is_descriptor(Path("sources/voc2012.yaml"))
    assert is_descriptor(Path("my.yml"))
    assert not is_descriptor(Path("my.tar"))
    assert not is_descriptor(Path("folder"))
