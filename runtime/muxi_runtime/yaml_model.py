"""A YAML file to a pydantic model: muxi.yaml, manifests, and whatever else the operator writes.

Every message names the file, the line and the field (`muxi.yaml:12: gateway.port: ...`), and all of them come
at once. Unknown keys are refused by the models (`extra="forbid"`) and answered with the nearest name here.
Relative paths in a file are relative to the file.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from muxi_runtime.errors import ConfigError
from muxi_runtime.yaml_text import MAX_TEXT, Document, Loc, Problem, parse

__all__ = ["expand_home", "load_yaml_model", "parse_yaml_model"]

Model = TypeVar("Model", bound=BaseModel)

REMEDY = "Correct the file and run `muxi-runtime config check`."


def load_yaml_model(path: Path, model: type[Model], *, environ: Mapping[str, str] | None = None) -> Model:
    """Read and validate one file.

    Args:
        path: the file.
        model: what it must hold; an empty file is the model with its defaults.
        environ: for `${NAME}` and `${NAME:-default}`; `None` takes text as it stands. Only the operator's own
            files may read the environment: it can hold secrets.

    Raises:
        ConfigError: it cannot be read, is no UTF-8 or YAML, or does not fit the model.
    """
    return parse_yaml_model(_read(path), path, model, environ=environ)


def parse_yaml_model(text: str, path: Path, model: type[Model], *, environ: Mapping[str, str] | None = None) -> Model:
    """As `load_yaml_model`, for text that was read already; `path` is for messages and relative paths."""
    document = parse(text, environ)
    problems = list(document.problems)
    value = {} if document.value is None and not problems else document.value
    try:
        result = model.model_validate(value)
    except ValidationError as error:
        # What the text already got wrong shows up again in the model: say it once.
        wrong = [problem.loc for problem in document.problems]
        found = _problems_of(error, model, document)
        problems += [new for new in found if not any(loc[: len(new.loc)] == new.loc for loc in wrong)]
    if problems:
        problems.sort(key=lambda problem: problem.line)
        raise ConfigError("\n".join(_line(path, problem) for problem in problems), remedy=REMEDY)
    try:
        return cast("Model", _resolved(result, path.absolute().parent))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def expand_home(path: Path) -> Path:
    """The path with a leading `~` or `~user` replaced.

    Raises:
        ConfigError: there is no such user, or the user has no home.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{path}: there is no home folder of that user.", remedy="Write the path out.") from error


def _problems_of(error: ValidationError, model: type[BaseModel], document: Document) -> Iterator[Problem]:
    """Pydantic's findings as problems with lines."""
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        loc: Loc = item["loc"]
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = _unknown(str(loc[-1]), _fields_at(model, loc[:-1]))
        elif item["type"] == "missing":
            message = "this must be given"
        elif item["type"] == "string_type":
            message = "must be text; put it in quotes"
        yield Problem(document.line(loc), loc, message)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(4 * MAX_TEXT + 4)
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: {error.reason}.", remedy=REMEDY) from error


def _line(path: Path, problem: Problem) -> str:
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem.loc).lstrip(".")
    return f"{path}:{problem.line}: {field + ': ' if field else ''}{problem.message}"


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"unknown; did you mean {near[0]!r}?"
    return f"unknown; known here: {', '.join(known)}" if known else "unknown"


def _fields_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The names of the fields of the model at a place."""
    kind: Any = model
    for part in loc:
        kind = _step(kind, part)
    kind = _without_optional(kind)
    return list(kind.model_fields) if _is_model(kind) else []


def _step(kind: Any, part: str | int) -> Any:  # noqa: ANN401 - annotations are of no common type
    kind = _without_optional(kind)
    if _is_model(kind):
        field = kind.model_fields.get(part)
        return field.annotation if field else None
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    return arguments[0] if get_origin(kind) in {list, tuple} and arguments else None


def _without_optional(kind: Any) -> Any:  # noqa: ANN401 - annotations are of no common type
    while get_origin(kind) in {Annotated, Union, types.UnionType}:
        kind = next(argument for argument in get_args(kind) if argument is not types.NoneType)
    return kind


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _resolved(value: Any, folder: Path) -> Any:  # noqa: ANN401 - walks whatever a model holds
    """The same with each path that the file gave made absolute; defaults stay as they are."""
    if isinstance(value, BaseModel):
        given = {name: getattr(value, name) for name in value.model_fields_set}
        return value.model_copy(update={name: _resolved(item, folder) for name, item in given.items()})
    if isinstance(value, dict):
        return {key: _resolved(item, folder) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_resolved(item, folder) for item in value)
    if isinstance(value, Path):
        return folder / expand_home(value)
    return value
