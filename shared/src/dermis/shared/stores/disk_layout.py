"""Where a key's file lies on disk.

Folders named by an id (`cases/<owner>/<case id>/`) are kept in folders by the id's time.

A folder of 100,000 names takes a third of a second to list, whatever is asked of it. An id begins with the time at
which it was made, so `cases/public/case_01k9x4q.../` lies in `cases/public/.by-time/case_01k9x/4q/case_01k9x4q.../`: a
folder for each 9.3 hours, in it one for each 33 seconds. Keys begin with no dot, so no key can lie where these folders
do. A folder of an older store lies directly in its parent until `DiskStore.tend` moves it; both are read.

A retention mark is a file that is named by an id, and lies by time as well:
`retention/<consent>/.by-time/case_01k9x/case_01k9x4q...`, without the second level, as a folder for each mark would
take as many inodes again.
"""

import heapq
import os
import re
from collections.abc import Iterator
from pathlib import Path

from dermis.shared.stores.keys import is_segment

BY_TIME = ".by-time"
MARKS = "retention"
"""Below it files that are named by an id lie by time."""
_ID = re.compile(r"([a-z]{1,16}_[0-7][0-9a-hjkmnp-tv-z]{4})([0-9a-hjkmnp-tv-z]{2})[0-9a-hjkmnp-tv-z]{19}")


def is_id_name(name: str) -> bool:
    return _ID.fullmatch(name) is not None


def by_time(parent: Path, name: str) -> Path:
    """Return where the folder of the id `name` lies below `parent` in the layout by time."""
    match = _ID.fullmatch(name)
    assert match  # noqa: S101 - whoever calls asked `is_id_name`
    return parent / BY_TIME / match[1] / match[2] / name


def mark_by_time(parent: Path, name: str) -> Path:
    """Return where the file of the id `name` lies below `parent`, a folder of marks."""
    match = _ID.fullmatch(name)
    assert match  # noqa: S101 - whoever calls asked `is_id_name`
    return parent / BY_TIME / match[1] / name


def path_of(root: Path, key: str) -> Path:
    """Return where the file of `key` lies, or is to lie: the last folder that is named by an id is kept by time."""
    segments = key.split("/")
    place = next((n for n in reversed(range(len(segments) - 1)) if is_id_name(segments[n])), None)
    if place is None:
        return _path_of_mark(root / key) if segments[0] == MARKS and len(segments) > 1 else root / key
    parent, name = root.joinpath(*segments[:place]), segments[place]
    folder = by_time(parent, name)
    if not folder.is_dir() and (flat := parent / name).is_dir():
        folder = flat
    return folder.joinpath(*segments[place + 1 :])


def _path_of_mark(flat: Path) -> Path:
    if not is_id_name(flat.name):
        return flat
    home = mark_by_time(flat.parent, flat.name)
    return flat if not home.is_file() and flat.is_file() else home


def walk(root: Path, prefix: str, after: str, *, links: bool = True) -> Iterator[str]:
    """Yield the keys that start with `prefix` and sort after `after`, in order.

    `links`: whether symbolic links are followed.
    """
    folder = prefix.rpartition("/")[0]
    base = f"{folder}/" if folder else ""
    places = [root / folder] if folder else [root]
    if folder:
        places += [home for home in [path_of(root, f"{folder}/x").parent] if home != root / folder]
    streams = [_walk(place, base, prefix, after, links) for place in places]
    yield from streams[0] if len(streams) == 1 else heapq.merge(*streams)


def _walk(folder: Path, base: str, prefix: str, after: str, links: bool) -> Iterator[str]:
    names, sharded = _names(folder, links)
    flat = (name for name in names if not name.endswith("/") or _may_hold(base + name, prefix, after))
    both = (
        heapq.merge(((name, folder) for name in flat), _by_time(folder / BY_TIME, base, prefix, after))
        if sharded
        else ((name, folder) for name in flat)
    )
    for name, place in both:
        key = base + name
        if name.endswith("/"):
            yield from _walk(place / name, key, prefix, after, links)
        elif key.startswith(prefix) and key > after:
            yield key


def _by_time(folder: Path, base: str, prefix: str, after: str) -> Iterator[tuple[str, Path]]:
    """Yield what is named by ids, in order, each with the folder that it lies in.

    Folders that can't hold what is asked are not opened.
    """
    for top in _sorted(folder):
        if not _may_hold(base + top, prefix, after):
            continue
        for middle in _sorted(folder / top):
            if is_id_name(middle):  # a mark
                yield middle, folder / top
                continue
            if not _may_hold(base + top + middle, prefix, after):
                continue
            place = folder / top / middle
            yield from ((f"{name}/", place) for name in _sorted(place) if _may_hold(f"{base}{name}/", prefix, after))


def _may_hold(start: str, prefix: str, after: str) -> bool:
    """Return whether a key that begins with `start` may begin with `prefix` and sort after `after`."""
    return (start.startswith(prefix) or prefix.startswith(start)) and (start > after or after.startswith(start))


def _names(folder: Path, links: bool) -> tuple[list[str], bool]:
    """Return the sorted names in a folder, a folder's with a slash, and whether ids are kept by time in it."""
    try:
        with os.scandir(folder) as entries:
            # A folder sorts as its name and a slash, as its keys do; code points sort as their UTF-8 does.
            listed = [
                (f"{entry.name}/" if _is_folder(entry, links) else entry.name)
                for entry in entries
                if entry.name == BY_TIME or (is_segment(entry.name) and (links or not entry.is_symlink()))
            ]
    except (FileNotFoundError, NotADirectoryError):
        return [], False
    sharded = f"{BY_TIME}/" in listed
    return sorted(name for name in listed if name.rstrip("/") != BY_TIME), sharded


def _is_folder(entry: "os.DirEntry[str]", links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=links)
    except OSError:  # a link that leads in a circle: an object that can't be read, which hides no other
        return False


def _sorted(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names alone, for every folder of a listing
    except (FileNotFoundError, NotADirectoryError):
        return []
