"""The catalogue and its models: files that lead out, YAML that does things, functions that are not ours, graphs that are others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scoring.card import encode
from scoring.store import Store as Models
from tests.attack.parts import Attack, Control, Seen, control, same
from wrapper import functions
from wrapper.catalogue import strict_yaml
from wrapper.catalogue.folder import Folder

YAML, FOLDER, FUNCTIONS, MODEL, CARD = (
    "wrapper.catalogue.strict_yaml",
    "wrapper.catalogue.folder",
    "wrapper.functions",
    "scoring.model",
    "scoring.card",
)
STRICT = control(
    "YAML is read strictly",
    (
        YAML,
        "builder = _Builder(_decoded(data))",
        "return Document(file, yaml.unsafe_load(data), {})\n    builder = _Builder(_decoded(data))",
    ),
)
UNSEEN = control("no characters that nobody sees", (YAML, "if unseen:", "if False:"))
LONG = control("the longest file", (YAML, "if len(data) > LONGEST:", "if False:"))
DEEP = control("the deepest file", (YAML, "if len(path) > DEEPEST:", "if False:"))
LINK = (FOLDER, "if not found.resolve().is_relative_to(self._real):", "if False:")
NAMES = (FOLDER, r"""if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):""", "if False:")
INSIDE = control("nothing outside of the folder", NAMES, LINK)
LINKS = control("no link out of the folder", LINK)
SIZE = control("the longest copybook", (FOLDER, "if path.stat().st_size > LONGEST:", "if False:"))
PACKAGES = (FUNCTIONS, 'if module.partition(".")[0] not in packages:', "if False:")
MARK = (FUNCTIONS, 'if getattr(function, "__figway__", None) != mark:', "if False:")
OURS = control("functions of packages that are listed, and marked", PACKAGES, MARK)
MARKED = control("functions that are marked", MARK)
SAME = control("a graph is the card's", (MODEL, "if hashlib.sha256(graph).hexdigest() != self.card.sha256:", "if False:"))
RANGE = control("a feature's range", (CARD, "if (isinstance(value, Decimal) and value.is_nan()) or not low <= value <= high:", "if False:"))
KIND = control("a feature's kind", (CARD, "if isinstance(value, bool) or not isinstance(value, int | float | Decimal):", "if False:"))
MISSING = control("a feature that must not miss", (CARD, 'if on_missing == "refuse" or not feature.missing:', "if False:"))
MODELS = Path(__file__).resolve().parents[2] / "fixtures" / "models"


def read(text: str | bytes) -> Any:
    return strict_yaml.parse(text.encode() if isinstance(text, str) else text, "x.yaml").value


def reads(text: str, wanted: Any) -> Callable[[Any], Seen]:
    return lambda _: same(read(text), wanted)


def plain(_: Any) -> Seen:
    return same(read("a: [NO, 0123, 'x']\nb: {c: true}"), {"a": ["NO", "0123", "x"], "b": {"c": True}})


def runs(tag: str) -> Callable[[Path], Seen]:
    """Got when reading the file has made another one."""

    def act(folder: Path) -> Seen:
        made = folder / "made"
        try:
            read(tag.format(f"touch {made}" if "system" in tag else str(made)))
        finally:
            done = made.exists()
        return Seen(done, f"{'a command ran' if done else 'nothing ran'}")

    return act


def laughs(_: Any) -> Seen:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for one, before in zip("bcdef", "abcde", strict=True):
        text += f"{one}: &{one} [{', '.join([f'*{before}'] * 10)}]\n"
    size = len(str(read(text)))
    return Seen(size > 1_000_000, f"{len(text)} bytes became {size}")


def holds(name: str, make: Callable[[Path, Path], None] = lambda folder, secret: None) -> Callable[[Path], Seen]:
    """Got when a catalogue's file is one outside of it."""

    def act(folder: Path) -> Seen:
        secret = folder / "secret.cpy"
        secret.write_text("hunter2")
        (folder / "catalogue" / "copybooks").mkdir(parents=True)
        (folder / "catalogue" / "copybooks" / "own.cpy").write_text("own")
        make(folder / "catalogue", secret)
        met = Folder(folder / "catalogue").text(name.replace("SECRET", str(secret)))
        return same(met, "own" if name == "copybooks/own.cpy" else "hunter2")

    return act


def large(size: int) -> Callable[[Path], Seen]:
    def act(folder: Path) -> Seen:
        (folder / "a.cpy").write_bytes(b"x" * size)
        return same(len(Folder(folder).data("a.cpy")), size)

    return act


def found(reference: str, packages: tuple[str, ...], wanted: Any) -> Callable[[Any], Seen]:
    return lambda _: Seen(functions.find(reference, packages) is wanted, f"{reference} is called")


@functions.pure
def ours(value: str) -> str:
    """A function that a catalogue may call."""
    return value


def graph(added: bytes) -> Callable[[Path], Seen]:
    """A graph to which something was added that its golden rows do not show. Got when it scores."""

    def act(folder: Path) -> Seen:
        shutil.copytree(MODELS, folder / "models")
        [file] = (folder / "models").glob("*/*/model.onnx")
        file.write_bytes(file.read_bytes() + added)
        model = Models(folder / "models").model("default-risk@1")
        score = model.score(model.card.golden[0].inputs)
        return Seen(0 <= score.value <= 1, f"scored {score.value:.4f}")

    return act


def scored(change: Callable[[dict[str, Any]], None], on_missing: Any = "as_trained") -> Callable[[Any], Seen]:
    """Got when these features are handed to the graph."""

    def act(_: Any) -> Seen:
        card = Models(MODELS).model("default-risk@1").card
        features = dict(card.golden[0].inputs)
        change(features)
        return Seen(len(encode(card, features, on_missing)) == len(card.features), f"scored with {str(features)[:60]}")

    return act


def _linked(folder: Path, secret: Path) -> None:
    (folder / "copybooks" / "link.cpy").symlink_to(secret)


def _linked_folder(folder: Path, secret: Path) -> None:
    (folder / "out").symlink_to(secret.parent)


def _yaml(name: str, text: str, wanted: Any) -> Attack:
    return Attack(f"yaml.{name}", "catalogue", STRICT, reads(text, wanted), plain)


def _file(name: str, by: Control, path: str, make: Any = lambda folder, secret: None) -> Attack:
    return Attack(f"file.{name}", "catalogue", by, holds(path, make), holds("copybooks/own.cpy"))


PURE = "py:tests.attack.on_catalogue.ours"
ATTACKS = (
    Attack("yaml.runs_a_command", "catalogue", STRICT, runs("a: !!python/object/apply:os.system ['{}']"), plain),
    Attack("yaml.opens_a_file", "catalogue", STRICT, runs("a: !!python/object/apply:builtins.open ['{}', 'w']"), plain),
    Attack("yaml.billion_laughs", "catalogue", STRICT, laughs, plain),
    _yaml("key_twice", "auth: {scope: a}\nauth: {scope: b}", {"auth": {"scope": "b"}}),
    _yaml("merged_in", "a: &a {scope: x}\nb: {<<: *a}", {"a": {"scope": "x"}, "b": {"scope": "x"}}),
    _yaml("norway", "country: NO", {"country": False}),
    _yaml("octal_customer", "customer: 0000012345", {"customer": 5349}),
    Attack("yaml.hidden_character", "catalogue", UNSEEN, reads("scope: pii\u202e:read", {"scope": "pii\u202e:read"}), plain),
    Attack("yaml.zero_width", "catalogue", UNSEEN, reads("scope: pii\u200b", {"scope": "pii\u200b"}), plain),
    Attack("yaml.long", "catalogue", LONG, lambda _: Seen(len(read("a: " + "x" * 400_000)["a"]) == 400_000, "400,000 characters"), plain),
    Attack("yaml.deep", "catalogue", DEEP, lambda _: Seen(read("a: " + "[" * 60 + "]" * 60) is not None, "60 levels"), plain),
    _file("climbs", INSIDE, "../secret.cpy"),
    _file("climbs_from_a_folder", INSIDE, "copybooks/../../secret.cpy"),
    _file("absolute", INSIDE, "SECRET"),
    _file("link", LINKS, "copybooks/link.cpy", _linked),
    _file("linked_folder", LINKS, "out/secret.cpy", _linked_folder),
    Attack("file.long", "catalogue", SIZE, large(4_194_305), large(1000)),
    Attack("function.of_the_system", "catalogue", OURS, found("py:os.system", (), os.system), found(PURE, ("tests",), ours)),
    Attack("function.of_a_library", "catalogue", OURS, found("py:shutil.rmtree", ("acme",), shutil.rmtree), found(PURE, ("tests",), ours)),
    Attack(
        "function.not_marked",
        "catalogue",
        MARKED,
        found("py:tests.attack.on_catalogue.read", ("tests",), read),
        found(PURE, ("tests",), ours),
    ),
    Attack("model.other_graph", "models", SAME, graph(b"\x32\x04EVIL"), graph(b"")),
    Attack("model.out_of_range", "models", RANGE, scored(lambda f: f.update(amount=1e30)), scored(lambda f: None)),
    Attack("model.nan", "models", RANGE, scored(lambda f: f.update(amount=float("nan"))), scored(lambda f: None)),
    Attack("model.true_for_a_number", "models", KIND, scored(lambda f: f.update(amount=True)), scored(lambda f: None)),
    Attack("model.left_out", "models", MISSING, scored(lambda f: f.update(income=None), "refuse"), scored(lambda f: f.update(income=None))),
)
