"""Where images come from: files, folders, patterns, videos, a camera."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from yolo.data.formats.index import IMAGES, RARE_IMAGES, UNREAD_IMAGES, visible
from yolo.errors import UserError
from yolo.inference.image_input import read_image
from yolo.model.detector.predict import ImageArray

VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv"}
)
_FRAME_RATE = Fraction(25)
"""Of a video that does not state its own."""
_TAIL = 0.02
"""How much earlier than the stated length a video may end, as a share of that length."""


@dataclass(frozen=True)
class Frame:
    """An image and where it is from; `number` counts the frames of a video from 0."""

    source: Path
    image: ImageArray
    number: int | None = None


def list_files(paths: Sequence[str]) -> tuple[list[Path], list[str]]:
    """List each file once, and a message for each path with no file.

    Folders are searched at any depth for images and videos, by suffix, in sorted order, without
    hidden files and what operating systems leave behind; images of a format that is not read get
    a message. A file named by itself may have any suffix. A path that does not exist and holds
    `*`, `?` or `[` is a pattern; `**` matches any number of folders.
    """
    files: dict[Path, None] = {}
    problems = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            inside, unread = _search(path)
            files.update(dict.fromkeys(inside))
            problems += [_unread(file) for file in unread]
            if not inside and not unread:
                problems.append(f"no image in {path}")
        elif "://" in text:
            problems.append(
                f"{text} is a web address, which is not read; download the file and name its path"
            )
        elif path.exists():
            files[path] = None
        elif glob.has_magic(text):
            found = [Path(p) for p in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207
            found = [p for p in found if p.is_file()]
            files.update(dict.fromkeys(found))
            if not found:
                problems.append(f"{text}: no file matches")
        else:
            problems.append(f"{path} does not exist")
    return list(files), problems


def _search(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images and videos below a folder, and the images of formats that are not read."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")))
    files = [path for name in visible(list(names)) if (path := folder / name).is_file()]
    return (
        [path for path in files if path.suffix.lower() in IMAGES | RARE_IMAGES | VIDEOS],
        [path for path in files if path.suffix.lower() in UNREAD_IMAGES],
    )


def _unread(path: Path) -> str:
    return f"{path}: {path.suffix[1:].upper()} is not read; convert it to JPEG or PNG"


def is_video(path: Path) -> bool:
    """Whether a file is a video, judged by its suffix."""
    return path.suffix.lower() in VIDEOS


def read_images(files: Iterable[Path], problems: list[str]) -> Iterator[Frame]:
    """Yield the images in order; an unreadable file adds a message to `problems`."""
    for path in files:
        try:
            yield Frame(path, read_image(path))
        except UserError as error:
            problems.append(str(error))


class Video:
    """The frames of a video file or a camera, decoded one at a time.

    A truncated file yields the frames before the damage and adds a message to `problems`.
    """

    def __init__(self, path: Path, problems: list[str], device_format: str | None = None) -> None:
        """Open the file; with `device_format` (`v4l2` on Linux) the camera of that path.

        Raises:
            UserError: The file cannot be opened or has no video stream.
        """
        import av
        from av.error import FFmpegError

        self.path = path
        self._problems = problems
        try:
            self._container = av.open(str(path), format=device_format)
        except (FFmpegError, OSError, ValueError) as error:
            raise UserError(f"{path} cannot be opened as a video: {_words(error)}") from None
        if not self._container.streams.video:
            self._container.close()
            raise UserError(f"{path} has no video stream")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.rate = Fraction(self._stream.average_rate or _FRAME_RATE)
        """Frames per second."""

    def frames(self, limit: int | None = None) -> Iterator[Frame]:
        """Yield the frames, at most `limit`, and close."""
        from av.error import FFmpegError

        done, seen = 0, 0.0
        try:
            for frame in self._container.decode(self._stream):
                if limit is not None and done >= limit:
                    return
                image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                yield Frame(self.path, image, done)
                done, seen = done + 1, frame.time or 0.0
        except (FFmpegError, OSError) as error:
            self._problems.append(f"{self.path}: unreadable after {done} frames: {_words(error)}")
        else:
            self._check_end(done, seen)
        finally:
            self._container.close()

    def _check_end(self, done: int, seen: float) -> None:
        if done == 0:
            self._problems.append(f"{self.path}: no frame can be decoded")
        elif seen + max(2 / self.rate, _TAIL * self._seconds()) < self._seconds():
            self._problems.append(
                f"{self.path}: ends after {seen:.1f} of {self._seconds():.1f} seconds, "
                f"{done} frames; the file is truncated"
            )

    def _seconds(self) -> float:
        """Length of the video stream as the file states it; 0 if it does not."""
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        alone = len(self._container.streams) == 1
        return (self._container.duration or 0) / 1e6 if alone else 0.0


class VideoWriter:
    """Write frames of one size as H.264 in MP4; an odd width or height loses one pixel."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        """Write to `path` directly: pass a temporary path."""
        import av

        self._container = av.open(str(path), "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=rate.limit_denominator(60000))
        self._stream.pix_fmt = "yuv420p"
        self._size = (0, 0)

    def write(self, image: ImageArray) -> None:
        """Append an image; it is resized to the size of the first one."""
        import av

        if self._size == (0, 0):
            height, width = (max(2, side // 2 * 2) for side in image.shape[:2])
            self._size = self._stream.width, self._stream.height = width, height
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame = frame.reformat(width=self._size[0], height=self._size[1])
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is buffered."""
        if self._size != (0, 0):
            self._container.mux(self._stream.encode())
        self._container.close()


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
