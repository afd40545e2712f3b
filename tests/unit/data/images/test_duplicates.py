"""Near-duplicates: the index finds what all pairs find, and groups reach the split."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dermis.data.cli import data
from dermis.data.embeddings import read_embeddings
from dermis.data.images.duplicates import read_hashes
from dermis.data.images.near_duplicates import grouped, near_pairs, similar_pairs
from dermis.data.split.groups import read_duplicates
from dermis.shared.errors import DermisError
from tests.unit.data.scin_rows import case, files

HASHES = st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 63), max_size=9)), max_size=40)


def all_pairs(hashes: np.ndarray, radius: int) -> dict[tuple[int, int], int]:
    found = {}
    for b in range(len(hashes)):
        for a in range(b):
            bits = int(hashes[a] ^ hashes[b]).bit_count()
            same_before = bits == 0 and any(hashes[c] == hashes[b] for c in range(a))
            other_is_first = not any(hashes[c] == hashes[a] for c in range(a)) and (
                bits == 0 or not any(hashes[c] == hashes[b] for c in range(b))
            )
            if bits <= radius and other_is_first and not same_before:
                found[a, b] = bits
    return found


def base(n: int) -> int:
    return int(np.random.default_rng(n).integers(0, 1 << 63))


@given(HASHES, st.integers(0, 9))
def test_the_index_finds_what_all_pairs_find(drawn: list[tuple[int, set[int]]], radius: int) -> None:
    hashes = np.array([base(n) ^ sum(1 << bit for bit in flips) for n, flips in drawn], np.uint64)
    pairs, bits = near_pairs(hashes, radius)
    assert {(int(a), int(b)): int(n) for (a, b), n in zip(pairs, bits, strict=True)} == all_pairs(hashes, radius)


@pytest.mark.parametrize("radius", [2, 6])
def test_many_hashes_too(radius: int) -> None:
    rng = np.random.default_rng(5)
    hashes = rng.integers(0, 1 << 63, 20_000, dtype=np.uint64)
    for n in range(200):
        flips = sum(1 << int(bit) for bit in rng.choice(64, n % (radius + 2), replace=False))
        hashes[10_000 + n] = hashes[n] ^ np.uint64(flips)
    pairs, bits = near_pairs(hashes, radius)
    assert set(map(tuple, pairs.tolist())) == {(n, 10_000 + n) for n in range(200) if n % (radius + 2) <= radius}
    assert bits.max() == radius


def test_a_thousand_black_images_are_one_group_and_not_half_a_million_pairs() -> None:
    hashes = np.zeros(1000, np.uint64)
    pairs, _ = near_pairs(hashes, 6)
    assert len(pairs) == 999
    assert set(grouped(1000, [pairs])) == {0}


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b'image\na,b,c\n"', b"hi\n"])
def test_a_table_that_is_none_of_images_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    with pytest.raises(DermisError, match=r"photo\.jpg .* `dermis data images` wrote"):
        read_hashes(file)


def test_embeddings_pair_by_cosine() -> None:
    rows = np.array([[1.0, 0], [0.999, 0.02], [0, 1], [0, 0]])
    pairs, cosines = similar_pairs(rows, 0.98)
    assert pairs.tolist() == [[0, 1]]
    assert cosines[0] == pytest.approx(0.9998, abs=1e-4)


def test_groups_are_what_pairs_connect() -> None:
    assert grouped(5, [np.array([[0, 2]]), np.array([[2, 4]])]).tolist() == [0, -1, 0, -1, 0]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    frame = pd.DataFrame(
        {
            "image": ["a.png", "b.png", "c.png", "d.png", "e.png"],
            "sha256": ["1", "1", "2", "3", ""],
            "phash": ["00000000000000ff", "00000000000000ff", "00000000000000fe", "ffffffff00000000", ""],
        }
    )
    frame.to_csv(tmp_path / "images.csv", index=False)
    return tmp_path / "images.csv"


def test_the_command_writes_what_the_split_takes(table: Path, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "e.npz",
        image=np.array(["d.png", "e.png", "x.png"]),
        embedding=np.array([[1.0, 0], [1, 0.01], [1, 0]]),
    )
    out = tmp_path / "out"
    done = CliRunner().invoke(
        data, ["duplicates", str(table), "--embeddings", str(tmp_path / "e.npz"), "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    groups = read_duplicates((out / "groups.csv").read_bytes())
    assert groups == {"a.png": "a.png", "b.png": "a.png", "c.png": "a.png", "d.png": "d.png", "e.png": "d.png"}
    pairs = pd.read_csv(out / "pairs.csv")
    assert list(zip(pairs["image_a"], pairs["image_b"], pairs["by"], strict=True)) == [
        ("a.png", "b.png", "BYTES"),
        ("a.png", "c.png", "HASH"),
        ("d.png", "e.png", "EMBEDDING"),
    ]
    counts = pd.read_csv(out / "duplicates" / "overview.csv").set_index("measure")["n"]
    assert counts["Groups"] == 2
    assert counts["Images that would go if one of each group stayed"] == 3
    assert "598" not in (out / "duplicates.html").read_text()


@pytest.mark.parametrize(("source", "stated"), [("SCIN", True), ("A_CLINIC", False)])
def test_only_beside_scins_tables_stands_what_was_counted_on_scin(
    table: Path, tmp_path: Path, source: str, stated: bool
) -> None:
    for name, data_of in zip(("scin_cases.csv", "scin_labels.csv"), files([case(1, source=source)]), strict=True):
        (tmp_path / name).write_bytes(data_of)
    out = tmp_path / "out"
    done = CliRunner().invoke(data, ["duplicates", str(table), "--data", tmp_path.as_uri(), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert ("598" in (out / "duplicates.html").read_text()) == stated


def test_a_table_or_embeddings_of_another_kind_are_refused(table: Path, tmp_path: Path) -> None:
    table.write_text("image,sha256\na,1\n")
    with pytest.raises(DermisError, match="no column 'phash'"):
        read_hashes(table)
    table.write_text("image,sha256,phash\na,1,12\n")
    with pytest.raises(DermisError, match="row 2: phash '12'"):
        read_hashes(table)
    np.savez(tmp_path / "e.npz", embedding=np.zeros((2, 2)))
    with pytest.raises(DermisError, match="arrays image"):
        read_embeddings(tmp_path / "e.npz")
