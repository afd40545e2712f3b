"""Which conditions belong together: a taxonomy of label names in two levels, and the groups of a model's conditions."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dermis.data.scin.label_policy import PolicyModel
from dermis.data.shipped import load
from dermis.shared.manifest import Condition, ConditionGroup

TAXONOMY = "scin"
Name = Annotated[str, Field(min_length=1)]


class Parent(PolicyModel):
    """A group of groups; `name` in plain words, as people read it."""

    id: Name
    name: Name


class TaxonomyGroup(PolicyModel):
    """A condition group. `contains`: words by which a label without a row of its own belongs here."""

    id: Name
    name: Name
    parent: Name
    contains: tuple[str, ...] = ()


class LabelRow(PolicyModel):
    """Where a label belongs, and why."""

    label: Name
    group: Name
    reason: Name


class Taxonomy(PolicyModel):
    """Labels in groups, groups in parents. `clinical_review`: who of the profession reviewed it, "none" so far.

    Labels differ by more than the case of their letters. A label without a row goes to the first group of whose words
    it contains one, and without such a word to none: it then stands alone.
    """

    format: Literal["dermis.taxonomy/1"] = "dermis.taxonomy/1"
    name: Name
    version: Annotated[int, Field(ge=1)]
    clinical_review: Name
    source: str = ""
    parents: tuple[Parent, ...]
    groups: tuple[TaxonomyGroup, ...]
    labels: tuple[LabelRow, ...]

    @model_validator(mode="after")
    def _places_exist(self) -> "Taxonomy":
        names = [node.id for node in self.parents] + [node.id for node in self.groups]
        names += [row.label.casefold() for row in self.labels]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"{twice[0]!r} stands twice: give each group and label one row")
        parents, groups = {parent.id for parent in self.parents}, {group.id for group in self.groups}
        lost = {group.parent for group in self.groups} - parents | {row.group for row in self.labels} - groups
        if lost:
            raise ValueError(
                f"{min(lost)!r} is named but has no row: add it, or name one of {sorted(parents | groups)}"
            )
        return self

    @property
    def reference(self) -> str:
        """Name, version and the SHA-256 of the canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return f"{self.name}/{self.version} sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def group_of(self, label: str) -> str | None:
        """Return the id of a label's group: its row's, else by words, else None."""
        name = label.casefold()
        row = next((row.group for row in self.labels if row.label.casefold() == name), None)
        by_words = (group.id for group in self.groups if any(word in name for word in group.contains))
        return row or next(by_words, None)

    def groups_of(self, conditions: Sequence[Condition]) -> tuple[ConditionGroup, ...]:
        """Return the groups and parents of a model's conditions, without those that hold none of them."""
        inside: dict[str, list[str]] = {}
        for condition in conditions:
            if group := self.group_of(condition.name):
                inside.setdefault(group, []).append(condition.id)
        groups = [group for group in self.groups if group.id in inside]
        used = {group.parent for group in groups}
        return (
            *(ConditionGroup(id=parent.id, name=parent.name) for parent in self.parents if parent.id in used),
            *(
                ConditionGroup(id=group.id, name=group.name, parent=group.parent, conditions=tuple(inside[group.id]))
                for group in groups
            ),
        )

    def unplaced(self, labels: Iterable[str]) -> list[str]:
        """Return the labels that belong to no group."""
        return [label for label in labels if self.group_of(label) is None]


def load_taxonomy(name: str = TAXONOMY) -> Taxonomy:
    """Return the taxonomy that ships under `name`, or the one in the file of that name; NOT_FOUND, INVALID."""
    return load(name, Taxonomy, folder="taxonomies", word="taxonomy")
