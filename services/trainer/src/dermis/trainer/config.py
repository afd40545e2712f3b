"""What a run depends on: the model, the data, the stages of training, and every number in them."""

import dataclasses
import importlib
import json
import re
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dermis.data.defaults import POLICY
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import AbstentionRule, FeatureSchema, ImageFit, Knowledge
from dermis.trainer.model.feature_schema import every_answer, schema_of
from dermis.trainer.model.head import Head


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage. `after`: the layer of the backbone after which it is trained; None: the head alone, "": all of it.

    `images`: "cached", what the frozen part makes of each view, computed once; "augmented": read, changed and run anew
    each time. `solver`: "adamw" goes step by step; "lbfgs" fits the answers branch alone, at once and to the end, and
    leaves the rest as it is (`training.answers`): one epoch. `pseudo`: unlabelled cases train too, with pseudo-labels,
    where the model so far gives a condition at least this probability.
    """

    after: str | None = None
    epochs: int = 20
    learning_rate: float = 3e-3
    images: Literal["cached", "augmented"] = "cached"
    solver: Literal["adamw", "lbfgs"] = "adamw"
    pseudo: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A model and how it is trained; `--set` and `--grid` use the fields' names.

    `backbone`: a name or a store URL. `weights`: "published", None for random ones, or the URL of a weights file.
    `taps`: layers whose outputs, the intermediate features, are read beside the last one's. `middle`: the middle of
    each image is read a second time, for itself. `mirrored`: each image is
    also read mirrored, in training by views, in serving within the graph (test-time augmentation). `smoothing`: label
    smoothing. `focal`: gamma of the focal loss. `balanced`: class weights. `mixup`: alpha of mixup. `ema`: momentum of
    the averaged weights. `patience`: of early stopping, in epochs of a stage; None: no early stopping.
    `images_dropout`, `answers_dropout`: modality dropout, the shares of cases that train without their images, or
    without their answers. `tone_preserving`, `tone_shifting`: which augmentations. `data`: where the cases are without
    `--data`. `risk`, `false_alarms`, `taxonomy`: see `calibration.fit`. `texture_alarms`: see `calibration.texture`.
    `precision`: of what is computed in training; None: mixed on a GPU, else float32. `folds`: learn from all cases and
    calibrate and measure by that many folds, where neither `--on-all` nor `--split` is said. `image_fit`: how an image
    becomes a square. `storage`: of the backbone's weights in the bundle; float16 rounds them before anything is learned
    from them. `malignant`: names of conditions that a set has to hold one of for `malignant_coverage` of the cases of
    each. `knowledge`: what the manifest says of what it knows.
    """

    name: str
    purpose: Literal["demo", "research", "release"] = "research"
    seed: int = 0
    data: str | None = None
    folds: int | None = None
    mapping: str | None = None
    policy: str = POLICY
    least_cases: int = 1
    backbone: str = "efficientnet-lite0"
    weights: str | None = "published"
    image_size: int = 224
    image_fit: ImageFit = "LETTERBOX"
    storage: Literal["float32", "float16"] = "float32"
    taps: tuple[str, ...] = ()
    middle: bool = False
    mirrored: bool = False
    head: Head = field(default_factory=Head)
    schema: FeatureSchema = field(default_factory=every_answer)
    stages: tuple[Stage, ...] = field(default_factory=lambda: (Stage(),))
    batch: int = 32
    smoothing: float = 0.0
    focal: float = 0.0
    balanced: bool = False
    mixup: float = 0.0
    ema: float = 0.0
    weight_decay: float = 0.0
    patience: int | None = 8
    images_dropout: float = 0.0
    answers_dropout: float = 0.0
    tone_preserving: bool = True
    tone_shifting: bool = False
    coverage: float = 0.9
    abstention: AbstentionRule = field(default_factory=lambda: AbstentionRule(min_probability=0.0, max_set_size=1000))
    risk: float | None = None
    false_alarms: float | None = 0.02
    texture_alarms: float = 0.03
    malignant: tuple[str, ...] = ()
    malignant_coverage: float = 0.95
    knowledge: Knowledge | None = None
    taxonomy: str | None = None
    precision: Literal["float32", "mixed_bfloat16"] | None = None


def load_config(name: str) -> Config:
    """Return the CONFIG of a page that ships or of a Python file; NOT_FOUND for another name, INVALID without one."""
    if name.endswith(".py") and Path(name).is_file():
        config = runpy.run_path(name).get("CONFIG")
    elif re.fullmatch(r"[a-z0-9_]+", name) and find_spec(f"dermis.trainer.configs.{name}"):
        config = importlib.import_module(f"dermis.trainer.configs.{name}").CONFIG
    else:
        folder = Path(str(importlib.import_module("dermis.trainer.configs").__file__)).parent
        names = ", ".join(sorted(path.stem for path in folder.glob("[a-z]*.py")))
        raise DermisError(Kind.NOT_FOUND, "CONFIG", f"no config {name!r}: use {names}, or a Python file with CONFIG")
    if not isinstance(config, Config):
        raise DermisError(Kind.INVALID, "CONFIG", f"{name} has no CONFIG of dermis.trainer.config.Config")
    return config


def as_json(config: Config) -> dict[str, Any]:
    """Return every value of a config, as a record of the run."""
    values = dataclasses.asdict(dataclasses.replace(config, schema=None, abstention=None, knowledge=None))  # type: ignore[arg-type]
    values |= {"schema": config.schema.id, "abstention": config.abstention.model_dump(mode="json")}
    values["knowledge"] = config.knowledge and config.knowledge.model_dump(mode="json")
    return dict(json.loads(json.dumps(values)))


def parse_setting(text: str) -> tuple[str, str]:
    """Return name and value of NAME=VALUE; INVALID for anything else."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise DermisError(Kind.INVALID, "SETTING", f"{text!r} is no setting: write NAME=VALUE")
    return name, value


def with_settings(config: Config, settings: Mapping[str, str]) -> Config:
    """Return the config with settings as text; `features=baseline+symptoms` names the groups of answers to read."""
    config = changed(config, {name: text for name, text in settings.items() if name != "features"})
    return (
        dataclasses.replace(config, schema=schema_of(settings["features"].split("+")))
        if "features" in settings
        else config
    )


def changed(config: Config, settings: Mapping[str, str]) -> Config:
    """Return the config with settings as text, NAME, head.NAME, stage.NAME (all stages), stage.N.NAME; else INVALID."""
    for name, text in settings.items():
        first, _, rest = name.partition(".")
        if first == "head" and rest:
            config = dataclasses.replace(config, head=_set(config.head, rest, text, name))
        elif first == "stage" and rest:
            number, _, field = rest.rpartition(".")
            places = range(len(config.stages)) if not number else [int(number)] if number.isdecimal() else []
            if number and (not number.isdecimal() or int(number) >= len(config.stages)):
                raise DermisError(
                    Kind.INVALID, "SETTING", f"{name}: there is no stage {number!r}; use 0 to {len(config.stages) - 1}"
                )
            stages = [_set(stage, field, text, name) if n in places else stage for n, stage in enumerate(config.stages)]
            config = dataclasses.replace(config, stages=tuple(stages))
        else:
            config = _set(config, name, text, name)
    return config


def _set(value: Any, field: str, text: str, name: str) -> Any:
    hints = get_type_hints(type(value))
    simple = {
        key: hint for key, hint in hints.items() if key not in ("head", "schema", "stages", "abstention", "knowledge")
    }
    if field not in simple:
        raise DermisError(Kind.INVALID, "SETTING", f"{name!r} is no setting; use one of {', '.join(simple)}")
    return dataclasses.replace(value, **{field: _parsed(simple[field], text, name)})


def _parsed(hint: Any, text: str, name: str) -> Any:
    kinds = get_args(hint) if get_origin(hint) not in (None, Literal, tuple) else (hint,)
    if text.lower() == "none" and type(None) in kinds:
        return None
    for kind in kinds:
        if get_origin(kind) is tuple:
            return tuple(part for part in text.split("+") if part)
        if get_origin(kind) is Literal and text in get_args(kind):
            return text
        if kind is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind in (int, float, str):
            try:
                return kind(text)
            except ValueError:
                continue
    forms = " or ".join(_form(kind) for kind in kinds)
    raise DermisError(Kind.INVALID, "SETTING", f"{name}={text!r} is not understood; write {forms}")


def _form(kind: Any) -> str:
    """Return how a value of a type is written on the command line."""
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    words = {int: "a whole number", float: "a number", bool: "true or false", type(None): "none"}
    return words.get(kind, "names joined by +" if get_origin(kind) is tuple else "text")
