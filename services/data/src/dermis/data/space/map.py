"""`dermis data map`: what a space of embeddings looks like and what it sorts by."""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_mutual_info_score

from dermis.data.embeddings import Embeddings, read_embeddings
from dermis.data.images.tables import owners_of
from dermis.data.mapping import DataSide
from dermis.data.report.pictures import picture
from dermis.data.report.report import Report, write_report
from dermis.data.report.table import Picture, ReportTable
from dermis.data.report.words import words
from dermis.data.space.sorting import Ints, case_vectors, nearest
from dermis.data.space.tables import Space, answers_of, farthest, medoids, neighbours_of, space_tables
from dermis.data.split.groups import connected, links_of
from dermis.data.statistics import Floats
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store

LEAST = 20
COMPONENTS = 50
_SHOWN = 12
_ASKED = 4


def write_map(
    embeddings: Path,
    side: DataSide | None,
    *,
    duplicates: dict[str, str] | None,
    neighbours: int,
    least: int,
    cases: Sequence[str],
    pictures_from: str | None,
    seed: int,
    out: Path,
) -> str:
    """Write map.csv (a row per case), neighbours.csv and the report; return what the space sorts by."""
    image_embeddings = read_embeddings(embeddings)
    space, explained, stable = make_space(
        image_embeddings, side, duplicates=duplicates, neighbours=neighbours, least=least, seed=seed
    )
    tables = space_tables(space, seed=seed)
    store = open_store(pictures_from) if pictures_from else None
    tables = [*_with_pictures(tables, space, store), *_asked(space, cases, store)]
    clusters = int(space.clusters.max()) + 1
    facts = {
        "Embeddings": f"{embeddings.name}, {len(image_embeddings.images):,} images, "
        f"{image_embeddings.vectors.shape[1]} numbers each",
        "Bundle": image_embeddings.bundle,
        "Data set": side.name if side else "none: every image is a case of its own, without condition and tone",
        "Cases": f"{len(space.names):,}, each the mean direction of its images; "
        f"{sum(place >= 0 for place in owners_of(image_embeddings.images, side, by_name=True)):,} images are of a case",
        "Maps": f"PCA shows {explained:.0%} of the variance; UMAP of the first {COMPONENTS} components at most, seed "
        f"{seed}",
        "Clusters": f"{clusters}, at least {least} cases each; {int((space.clusters < 0).sum()):,} cases in none; "
        f"with the next seed they agree by an adjusted mutual information of {stable:.2f}",
        "Neighbours": f"{space.near.shape[1]} nearest by cosine, none that shares an image or a near-duplicate group",
    }
    written = write_report(Report(name="map", title="Embeddings: map", facts=facts, tables=tables), out)[:2]
    _rows(space).to_csv(out / "map.csv", index=False, float_format="%.6f", lineterminator="\n")
    _all_neighbours(space).to_csv(out / "neighbours.csv", index=False, float_format="%.6f", lineterminator="\n")
    summary = next(table.frame for table in tables if table.name == "sorts_by").to_string(
        index=False, float_format="%.3f", na_rep=""
    )
    return f"{summary}\nwritten {out / 'map.csv'}, {out / 'neighbours.csv'}, {', '.join(map(str, written))}"


def make_space(
    embeddings: Embeddings,
    side: DataSide | None,
    *,
    duplicates: dict[str, str] | None = None,
    neighbours: int,
    least: int,
    seed: int,
) -> tuple[Space, float, float]:
    """Return the space of the cases of images with embeddings, and how stable it is.

    Beside it stand the share of variance that its first two components hold, and how far its clusters agree with those
    of the next seed, by adjusted mutual information.
    """
    owners = owners_of(embeddings.images, side, by_name=True)
    units = len(side.units) if side else 0
    # An image that no case has is a case of its own.
    slots = [owner if owner >= 0 else units + place for place, owner in enumerate(owners)]
    places, vectors = case_vectors(embeddings.vectors, slots)
    if len(places) < LEAST:
        raise DermisError(Kind.INVALID, "EMBEDDINGS", f"{len(places)} cases make no map: embed at least {LEAST}")
    keys_of: dict[int, list[str]] = {}
    for slot, key in zip(slots, embeddings.images, strict=True):
        keys_of.setdefault(slot, []).append(key)
    names = [side.units[place] if side and place < units else keys_of[place][0] for place in places.tolist()]
    listed = [list(side.images[place]) if side and place < units else keys_of[place] for place in places.tolist()]
    by_name = [[key.rpartition("/")[2] for key in images] for images in listed]
    group_of_image = {key.rpartition("/")[2]: group for key, group in duplicates.items()} if duplicates else None
    group_of = connected(names, links_of(names, by_name, group_of_image))
    groups = np.unique([group_of[name] for name in names], return_inverse=True)[1]
    near, cosines = nearest(vectors, groups, neighbours)
    if not near.shape[1]:
        raise DermisError(
            Kind.INVALID,
            "EMBEDDINGS",
            "all cases are connected by shared or near-duplicate images: there is no neighbour to find",
        )
    pca = PCA(min(COMPONENTS, *vectors.shape), svd_solver="full").fit(vectors)
    components = pca.transform(vectors)
    (umap, clusters), (_, others) = (_clustered(components, seed=seed + n, least=least) for n in (0, 1))
    space = Space(
        names=names,
        image=[keys_of[place][0] for place in places.tolist()],
        images=[len(keys_of[place]) for place in places.tolist()],
        vectors=vectors,
        groups=groups.astype(np.int64),
        pca=components[:, :2],
        umap=umap,
        clusters=clusters,
        near=near,
        cosines=cosines,
        answers=answers_of(side, [place if place < units else -1 for place in places.tolist()]) if side else {},
    )
    return space, float(pca.explained_variance_ratio_[:2].sum()), float(adjusted_mutual_info_score(clusters, others))


def _clustered(components: Floats, *, seed: int, least: int) -> tuple[Floats, Ints]:
    """Return the UMAP map and its clusters: where the space itself is too thin for a density, its map is not."""
    umap = _umap(components, seed)
    return umap, HDBSCAN(min_cluster_size=least, copy=True).fit_predict(umap).astype(np.int64)


def _umap(components: Floats, seed: int) -> Floats:
    # UMAP imports all of TensorFlow where it is installed, for a class that is not used here.
    sys.modules.setdefault("umap.parametric_umap", None)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP

        return np.asarray(UMAP(random_state=seed, n_jobs=1).fit_transform(components), np.float64)


def _with_pictures(tables: Sequence[ReportTable], space: Space, store: BlobStore | None) -> list[ReportTable]:
    if store is None:
        return list(tables)
    captions = {
        "clusters": [(place, f"cluster {number + 1}") for number, place in medoids(space).items()],
        "outliers": [(int(place), f"distance {space.distance[place]:.3f}") for place in farthest(space)[:_SHOWN]],
    }
    return [
        replace(table, pictures=_pictures(space, captions[table.name], store)) if table.name in captions else table
        for table in tables
    ]


def _asked(space: Space, cases: Sequence[str], store: BlobStore | None) -> list[ReportTable]:
    """Return the neighbours of the cases that were asked for, else of the largest clusters' middle cases."""
    place_of = {name: place for place, name in enumerate(space.names)}
    if unknown := [case for case in cases if case not in place_of]:
        raise DermisError(
            Kind.NOT_FOUND, "CASE", f"no case {unknown[0]!r} has an embedding here: give one of map.csv's column case"
        )
    sizes = np.bincount(space.clusters[space.clusters >= 0]) if (space.clusters >= 0).any() else np.zeros(0)
    middle = medoids(space)
    places = (
        [place_of[case] for case in cases]
        or [middle[int(n)] for n in np.argsort(-sizes, kind="stable")[:_ASKED]]
        or [0]
    )
    tables = []
    for place in places:
        around = [place, *space.near[place].tolist()]
        cosines = [1.0, *space.cosines[place].tolist()]
        captions = [
            (p, f"cosine {cosine:.3f}" if p != place else "the case") for p, cosine in zip(around, cosines, strict=True)
        ]
        tables.append(
            ReportTable(
                name=f"neighbours_{place}",
                section="Neighbours",
                title=f"Neighbours of case {space.names[place]}",
                frame=neighbours_of(space, place),
                pictures=_pictures(space, captions, store) if store else (),
            )
        )
    return tables


def _pictures(space: Space, places: Sequence[tuple[int, str]], store: BlobStore) -> list[Picture]:
    captions = [
        (place, ", ".join([label, *(words(space.values(name)[place]) for name in space.answers)]))
        for place, label in places
    ]
    return [thumbnail for place, caption in captions if (thumbnail := picture(store, space.image[place], caption))]


def _rows(space: Space) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "case": space.names,
            "image": space.image,
            "images": space.images,
            "group": space.groups,
            "pca_x": space.pca[:, 0],
            "pca_y": space.pca[:, 1],
            "umap_x": space.umap[:, 0],
            "umap_y": space.umap[:, 1],
            "cluster": [number + 1 if number >= 0 else "" for number in space.clusters.tolist()],
            "distance": space.distance,
            **{name: [answer[0] if answer else "" for answer in answers] for name, answers in space.answers.items()},
        }
    )


def _all_neighbours(space: Space) -> pd.DataFrame:
    n, k = space.near.shape
    names = np.array(space.names, dtype=object)
    return pd.DataFrame(
        {
            "case": np.repeat(names, k),
            "rank": np.tile(np.arange(1, k + 1), n),
            "neighbour": names[space.near.ravel()],
            "cosine": space.cosines.ravel(),
        }
    )
