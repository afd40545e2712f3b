"""What the report on a space of embeddings shows: what it sorts by, maps, clusters, outliers, neighbours."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dermis.data.images.tables import TONE
from dermis.data.mapping import CONDITION, MONK_BIN, DataSide
from dermis.data.report.table import ReportTable
from dermis.data.scin.attributes import NO_RESPONSE, WHO, Answers, count, with_share
from dermis.data.space.sorting import PERMUTATIONS, Ints, alike, nearest, sorts_by
from dermis.data.statistics import Floats, mean_interval

SCALES = (MONK_BIN, "fitzpatrick_self", "fitzpatrick_estimated")
TITLES = {CONDITION: "Condition", MONK_BIN: TONE.title, **{name: WHO[name].title for name in SCALES[1:]}}
FAR = 0.05
NO_CLUSTER = "NO_CLUSTER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Cases in a space.

    `names`, a shown `image` each, how many `images`, `vectors` float[N, E] of length 1, connected `groups`, two maps
    float[N, 2], `clusters` (-1: none), the `near`est cases of other groups with their cosines, and by attribute the
    answers.
    """

    names: Sequence[str]
    image: Sequence[str]
    images: Sequence[int]
    vectors: Floats
    groups: Ints
    pca: Floats
    umap: Floats
    clusters: Ints
    near: Ints
    cosines: Floats
    answers: Mapping[str, Answers]

    @property
    def distance(self) -> Floats:
        """Return how far each case is from its nearest: 1 less their mean cosine."""
        return np.asarray(1 - self.cosines.mean(1), np.float64)

    def values(self, name: str) -> list[str]:
        return [answer[0] if answer else NO_RESPONSE for answer in self.answers[name]]


def answers_of(side: DataSide, places: Sequence[int]) -> dict[str, Answers]:
    """Return condition and tone of the units at `places`, None for one (-1) that the data set does not know.

    None of what nobody tells.
    """
    answers_by_name = dict(side.answers)
    if (bins := side.read(MONK_BIN)) is not None:
        answers_by_name[MONK_BIN] = [None if value == ("MST_NONE",) else value for value in bins]
    by_name = {
        name: [answers_by_name[name][place] if place >= 0 else None for place in places]
        for name in (CONDITION, *SCALES)
        if name in answers_by_name
    }
    return {name: answers for name, answers in by_name.items() if any(answers)}


def space_tables(space: Space, *, seed: int = 0) -> list[ReportTable]:
    """Return every table, without pictures, in reading order."""
    return [
        _sorting(space, seed),
        *_by_tone(space, seed),
        *_maps(space),
        _clusters(space),
        outliers(space),
        *_far_by_tone(space),
    ]


def codes(space: Space, name: str) -> Ints:
    """Return a number per value of an attribute, -1 for no response."""
    numbers = {
        value: number for number, value in enumerate(sorted({answer[0] for answer in space.answers[name] if answer}))
    }
    return np.array([numbers[answer[0]] if answer else -1 for answer in space.answers[name]], np.int64)


def _sorting(space: Space, seed: int) -> ReportTable:
    k = space.near.shape[1]
    scales = [name for name in SCALES if name in space.answers]
    asked: list[tuple[str, str | None]] = [(name, None) for name in space.answers]
    if CONDITION in space.answers:
        asked += [pair for scale in scales for pair in ((CONDITION, scale), (scale, CONDITION))]
    rows = []
    for name, within in asked:
        inner = codes(space, within) if within else None
        for row in sorts_by(
            space.vectors, space.groups, space.clusters, codes(space, name), k=k, within=inner, seed=seed
        ):
            title = TITLES[name] + (f", among equals in {TITLES[within]}" if within else "")
            rows.append(
                {
                    "sorts by": title,
                    "measure": row.measure,
                    "n": row.n,
                    "values": row.values,
                    "estimate": row.estimate,
                    "low": row.low,
                    "high": row.high,
                    "chance": row.chance,
                    "chance at most": row.chance_high,
                    "above chance": row.above,
                }
            )
    columns = [
        "sorts by",
        "measure",
        "n",
        "values",
        "estimate",
        "low",
        "high",
        "chance",
        "chance at most",
        "above chance",
    ]
    note = (
        f"Chance: labels permuted {PERMUTATIONS} times, its mean and 97.5 % quantile; an estimate below the latter is "
        "chance. Among equals: permuted only among cases of one value there. Above chance: the share of what is "
        "possible above chance; it compares rows of different labels. Intervals: bootstrap over cases, neighbours and "
        "clusters as they are. A silhouette asks for gaps between labels: labels that overlap in part can be below "
        "chance in it and above in the others."
    )
    return ReportTable(
        name="sorts_by",
        section="What the space sorts by",
        title="Condition and skin tone, by three measures",
        note=note,
        frame=pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float}),
    )


def _by_tone(space: Space, seed: int) -> list[ReportTable]:
    """Return for each scale whether cases of a condition are neighbours on each tone alike."""
    if CONDITION not in space.answers:
        return []
    labels = codes(space, CONDITION)
    labelled = np.flatnonzero(labels >= 0)
    near, _ = nearest(space.vectors[labelled], space.groups[labelled], space.near.shape[1])
    if not near.shape[1]:
        return []
    labels = labels[labelled]
    share = alike(labels, near)
    rng = np.random.default_rng(seed)
    chance = np.mean([alike(rng.permutation(labels), near) for _ in range(PERMUTATIONS)], axis=0)
    tables = []
    for scale in [name for name in SCALES if name in space.answers]:
        values = np.array(space.values(scale))[labelled]
        rows = [
            (value, int(mask.sum()), *mean_interval(share[mask], seed=seed), float(chance[mask].mean()))
            for value in [*sorted(set(values.tolist()) - {NO_RESPONSE}), NO_RESPONSE]
            if (mask := values == value).any()
        ]
        tables.append(
            ReportTable(
                name=f"condition_alike_by_{scale}",
                section="What the space sorts by",
                title=f"Neighbours of the same condition: {TITLES[scale]}",
                note=f"Of the {near.shape[1]} nearest labelled cases. Interval: bootstrap over cases.",
                frame=pd.DataFrame(rows, columns=["value", "n", "estimate", "low", "high", "chance"]),
            )
        )
    return tables


def _maps(space: Space) -> list[ReportTable]:
    clusters = [NO_CLUSTER if number < 0 else f"cluster {number + 1}" for number in space.clusters]
    colours = {**{name: space.values(name) for name in space.answers}, "cluster": clusters}
    return [
        ReportTable(
            name=f"{way}_{name}",
            section="Maps",
            title=f"{title}: {TITLES.get(name, 'Cluster')}",
            note=note,
            frame=pd.DataFrame({"case": space.names, "x": at[:, 0], "y": at[:, 1], "value": values}),
            chart="scatter",
        )
        for way, title, at, note in (
            (
                "umap",
                "UMAP",
                space.umap,
                "Near is alike; distances between far points and sizes of clusters mean nothing.",
            ),
            ("pca", "PCA", space.pca, "The two directions of the largest variance, true to distance."),
        )
        for name, values in colours.items()
    ]


def medoids(space: Space) -> dict[int, int]:
    """Return for each cluster the place of the case that is nearest to all others of it."""
    medoid_of = {}
    for number in sorted(set(space.clusters.tolist()) - {-1}):
        members = np.flatnonzero(space.clusters == number)
        medoid_of[number] = int(members[np.argmax(space.vectors[members] @ space.vectors[members].sum(0))])
    return medoid_of


def _clusters(space: Space) -> ReportTable:
    places = medoids(space)
    rows = []
    for number in (*places, -1):
        members = np.flatnonzero(space.clusters == number)
        row: dict[str, object] = {"cluster": number + 1 if number >= 0 else NO_CLUSTER, "cases": len(members)}
        for name in space.answers:
            counts = Counter(answer[0] for place in members.tolist() if (answer := space.answers[name][place]))
            (value, n) = max(counts.items(), key=lambda item: (item[1], item[0]), default=("", 0))
            row[f"most frequent {TITLES[name].lower()}"] = f"{value} ({n} of {counts.total()})" if n else ""
        row["middle case"] = space.names[places[number]] if number >= 0 else ""
        rows.append(row)
    return ReportTable(
        name="clusters",
        section="Clusters",
        title="Clusters and their middle cases",
        note="HDBSCAN on the UMAP map. Shares of few cases: see the n.",
        frame=pd.DataFrame(rows).astype({"cluster": str}),
    )


def farthest(space: Space) -> Ints:
    return np.argsort(-space.distance, kind="stable")


def outliers(space: Space, n: int = 12) -> ReportTable:
    """Return the cases that are farthest from their nearest."""
    places = farthest(space)[:n]
    columns = {TITLES[name].lower(): [space.values(name)[place] for place in places] for name in space.answers}
    return ReportTable(
        name="outliers",
        section="Outliers",
        title="Cases that are farthest from their neighbours",
        note="Distance: 1 less the mean cosine to the nearest cases.",
        frame=pd.DataFrame(
            {"case": [space.names[place] for place in places], "distance": space.distance[places], **columns}
        ),
    )


def _far_by_tone(space: Space) -> list[ReportTable]:
    far = np.zeros(len(space.names), bool)
    far[farthest(space)[: round(FAR * len(far))]] = True
    tables = []
    for scale in [name for name in SCALES if name in space.answers]:
        of = count(space.answers[scale])
        n = count(answer for answer, out in zip(space.answers[scale], far, strict=True) if out)
        ordered = [*sorted(value for value in of if value != NO_RESPONSE), NO_RESPONSE]
        frame = pd.DataFrame(
            [(value, n[value], of[value]) for value in ordered if of[value]], columns=["value", "n", "of"]
        )
        tables.append(
            ReportTable(
                name=f"far_by_{scale}",
                section="Outliers",
                title=f"The {FAR:.0%} that are farthest: {TITLES[scale]}",
                note=f"Where the space is thin. Were it even for all tones, each would have {FAR:.0%}.",
                frame=with_share(frame),
                chart="bars",
            )
        )
    return tables


def neighbours_of(space: Space, place: int) -> pd.DataFrame:
    """Return a case and its nearest, the nearest first."""
    places = [place, *space.near[place].tolist()]
    frame = pd.DataFrame({"case": [space.names[p] for p in places], "cosine": [1.0, *space.cosines[place].tolist()]})
    return frame.assign(**{TITLES[name].lower(): [space.values(name)[p] for p in places] for name in space.answers})
