"""Images that are there twice: the same bytes, also with other objects, and lookalikes."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from yolo.data.formats.annotations import Box
from yolo.data.formats.index import OK
from yolo.data.validate.perceptual_hash import BITS, nearest
from yolo.data.validate.probe import Probe


def copies(
    lists: Mapping[str, Sequence[str]], probes: Mapping[str, Probe]
) -> dict[str, list[tuple[str, str]]]:
    """(split, name) of all images with the same bytes, for bytes that are in several splits."""
    return {
        content: found
        for content, found in _by_content(lists, probes).items()
        if len({split for split, _ in found}) > 1
    }


def _by_content(
    lists: Mapping[str, Sequence[str]], probes: Mapping[str, Probe]
) -> dict[str, list[tuple[str, str]]]:
    places: dict[str, list[tuple[str, str]]] = {}
    for split, names in lists.items():
        for name in names:
            content, readable = probes[name].image.content, probes[name].image.readable
            # What is left out for being broken, such as two empty files, is no leak.
            if content is not None and readable == OK:
                places.setdefault(content, []).append((split, name))
    return places


def copy(
    found: Mapping[str, Sequence[tuple[str, str]]], content: str | None, split: str, name: str
) -> str:
    """Found in all splits but the last, so that dropping the rows found leaves one split whole."""
    places = found.get(content or "", ())
    if not places or split == places[-1][0]:
        return OK
    other_split, other = places[-1]
    return f"is {other} of {other_split}" if other != name else f"is in {other_split} too"


def relabelled(lists: Mapping[str, Sequence[str]], probes: Mapping[str, Probe]) -> dict[str, str]:
    """Images of which another one has the same bytes and other objects, by name."""
    found: dict[str, str] = {}
    for places in _by_content(lists, probes).values():
        names = list(dict.fromkeys(name for _, name in places))
        if len(names) == 1:
            continue
        labels = {name: _labels(probes[name]) for name in names}
        for name in names:
            other = next((other for other in names if labels[other] != labels[name]), None)
            if other is not None:
                found[name] = f"has the same bytes as {other}, but other objects"
    return found


def _labels(probe: Probe) -> Counter[tuple[str, Box | None]] | None:
    if probe.annotation is None:
        return None
    return Counter((found.name, found.box) for found in probe.annotation.objects)


def lookalikes(
    lists: Mapping[str, Sequence[str]], probes: Mapping[str, Probe], most_bits: int
) -> dict[tuple[str, str], str]:
    """What looks like it in a later split, by (split, name); the same bytes are no lookalike."""
    known = {
        split: {name: value for name in names if (value := probes[name].image.hash) is not None}
        for split, names in lists.items()
    }
    found: dict[tuple[str, str], str] = {}
    splits = list(lists)
    for number, split in enumerate(splits):
        for other in splits[number + 1 :]:
            if not known[split] or not known[other]:
                continue
            names, others = list(known[split]), list(known[other])
            places, distances = nearest(list(known[split].values()), list(known[other].values()))
            for row in np.flatnonzero(distances <= most_bits).tolist():
                name, twin = names[row], others[places[row]]
                if probes[name].image.content != probes[twin].image.content:
                    bits = f"{distances[row]} of {BITS} bits differ"
                    found[split, name] = f"looks like {twin} of {other} ({bits})"
    return found
