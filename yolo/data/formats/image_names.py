"""The images of a set by what its annotations call them, and what we call them."""

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

from yolo.data.formats.index import IMAGES, RARE_IMAGES, UNREAD_IMAGES, extension, plain
from yolo.data.formats.path_lookup import Absences, PathLookup


class Images:
    """All images among the files of a set.

    An image is called by its path below the folder that holds all of them, without ending; with it
    where two images would be called the same.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.members = [name for name in names if extension(name) in IMAGES | RARE_IMAGES]
        self._lookup = PathLookup(self.members)
        self._all = set(self.members)
        self._absences = Absences(names)
        folder = common_folder(self.members)
        below = {member: plain(member).removeprefix(f"{folder}/") for member in self.members}
        short = {member: name[: -len(extension(name))] for member, name in below.items()}
        counts = Counter(short.values())
        self._names = {
            member: name if counts[name] == 1 else below[member] for member, name in short.items()
        }

    def find(self, text: str, near: str = "") -> str | None:
        """The member that `text` means (see `path_lookup.PathLookup.find`)."""
        if text in self._all:
            return text
        is_id = extension(text) not in IMAGES | RARE_IMAGES | UNREAD_IMAGES
        return self._lookup.find(text, near, any_ending=is_id)

    def name(self, member: str) -> str:
        """What the image is called."""
        return self._names[member]

    def explain(self, text: str) -> str:
        """What is known of an image that is not found."""
        return self._absences.explain(text)


def common_folder(paths: Sequence[str]) -> str:
    """The folder that holds all of the paths; empty when none does."""
    folders = [path.split("/")[:-1] for path in paths]
    if not folders:
        return ""
    pairs = zip(min(folders), max(folders), strict=False)
    return "/".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
