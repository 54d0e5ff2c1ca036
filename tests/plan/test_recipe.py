from __future__ import annotations

from pathlib import Path

import pytest

from transfuse.errors import UserError
from transfuse.plan.recipe import Recipe, parse, read
from transfuse.plan.text import LARGEST_RECIPE_BYTES

THREE_LINES = "sources: [torchvision:resnet18, timm:vit_tiny_patch16_224]\ndata: photos\n"


def recipe(extra: str = "") -> Recipe:
    return parse(THREE_LINES + extra, where="recipe.yaml")


def refusal(text: str) -> str:
    with pytest.raises(UserError) as caught:
        parse(text, where="recipe.yaml")
    assert "recipe.yaml" in str(caught.value.where)
    return str(caught.value)


def test_three_lines_are_complete() -> None:
    made = recipe()
    assert list(made.sources) == ["resnet18", "vit_tiny_patch16_224"]
    assert made.sources["resnet18"].spec == "torchvision:resnet18"
    assert (made.sources["resnet18"].taps, made.sources["resnet18"].seen) == (None, "unknown")
    assert (made.ladder, made.candidates, made.protocol, made.margin, made.seeds) == (
        "quick",
        ["features/concat", "features/gate"],
        "auto",
        "auto",
        5,
    )
    assert (made.task.kind, made.task.metric, made.judge.test) == ("multiclass", "log_loss", "winner")
    assert (made.budget.train, made.budget.latency) == (None, None)
    assert (made.run.threads, made.run.workers, made.run.precision) == (1, None, "float32")


def test_everything_can_be_said() -> None:
    made = parse(
        """
        sources:
          lite: "timm:lite0?checkpoint=../lite.safetensors"
          squeeze: {spec: file:s.safetensors, taps: [map], seen: none, prepare: {size: 224}}
        data: {read: idx:fashion, splits: {train: 2000}}
        task: {metric: accuracy, also: [brier]}
        ladder: full
        candidates: {gate: {fuse: features/gate, of: [lite, squeeze]}}
        train: {full: {epochs: 3}}
        protocol: crossfit
        margin: 0.01
        budget: {train: 20 min, latency: 30 ms, memory: 1.5 GB}
        seeds: 3
        judge: {test: all}
        run: {device: cpu, workers: auto, threads: 2, store: here, precision: bf16}
        title: Fashion
        """,
        where="here",
    )
    assert made.sources["squeeze"].taps == ["map"]
    assert made.sources["lite"].spec.endswith("lite.safetensors")
    assert (made.budget.train, made.budget.latency, made.budget.memory) == (1200.0, 0.03, 1.5e9)
    assert (made.margin, made.run.workers, made.candidates) == (
        0.01, "auto", {"gate": {"fuse": "features/gate", "of": ["lite", "squeeze"]}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("sedes: 4", "unknown key 'sedes'; did you mean 'seeds'?"),
        ("budget: {trian: 4}", "unknown key 'budget.trian'; did you mean 'train'?"),
        ("task: {metrik: x}", "unknown key 'task.metrik'; did you mean 'metric'?"),
        ("run: {worker: 2}", "unknown key 'run.worker'; did you mean 'workers'?"),
        ("judge: {tset: all}", "unknown key 'judge.tset'; did you mean 'test'?"),
        (
            "judge: {zzzz: all}",
            "unknown key 'judge.zzzz'; known: attacked, conditions, guards, stitching, target, test, transfer",
        ),
        ("1: 2", "1: Keys should be strings"),
    ],
)
def test_an_unknown_key_offers_the_nearest_at_every_level(extra: str, said: str) -> None:
    assert f"  - {said}" in refusal(THREE_LINES + extra).splitlines()


def test_an_unknown_key_of_a_source_offers_the_nearest() -> None:
    text = refusal("sources: {a: {spec: timm:x, tapz: [map]}}\ndata: d")
    assert "unknown key 'sources.a.tapz'; did you mean 'taps'?" in text


@pytest.mark.parametrize(
    ("extra", "place"),
    [
        ("seeds: true", "seeds"),
        ("seeds: '5'", "seeds"),
        ("seeds: 2.5", "seeds"),
        ("seeds: 0", "seeds"),
        ("margin: true", "margin"),
        ("margin: '0.1'", "margin"),
        ("margin: -0.1", "margin"),
        ("margin: .nan", "margin"),
        ("margin: .inf", "margin"),
        ("ladder: fast", "ladder"),
        ("protocol: open", "protocol"),
        ("candidates: 5", "candidates"),
        ("candidates: [1, 2]", "candidates"),
        ("train: full", "train"),
        ("train: {full: 3}", "train.full"),
        ("task: multiclass", "task"),
        ("task: {kind: regresion}", "task.kind"),
        ("task: {also: accuracy}", "task.also"),
        ("judge: {test: never}", "judge.test"),
        ("run: {workers: 0}", "run.workers"),
        ("run: {workers: true}", "run.workers"),
        ("run: {workers: many}", "run.workers"),
        ("run: {threads: 1.5}", "run.threads"),
        ("run: {precision: int4}", "run.precision"),
        ("budget: {train: true}", "budget.train"),
        ("budget: {latency: soon}", "budget.latency"),
        ("budget: {memory: 50 mega}", "budget.memory"),
        ("title: 5", "title"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_by_its_path(extra: str, place: str) -> None:
    lines = refusal(THREE_LINES + extra).splitlines()
    assert lines[0].startswith("the recipe cannot be used")
    assert any(line.startswith(f"  - {place}: ") for line in lines)


def test_all_problems_come_at_once() -> None:
    text = refusal(THREE_LINES + "seeds: 0\nladder: fast\nsedes: 1")
    assert text.startswith("the recipe cannot be used (3)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a recipe is a mapping"),
        ("[1, 2]", "a recipe is a mapping"),
        ("sources: [timm:a]", "'data' is missing"),
        ("data: d", "'sources' is missing"),
        ("sources: []\ndata: d", "at least one source is needed"),
        ("sources: timm:a\ndata: d", "sources: must be a valid dictionary, got 'timm:a'"),
        ("sources: {a: }\ndata: d", "sources.a.spec: names no source"),
        ("sources: {a b: x}\ndata: d", "source name 'a b' must be letters"),
        ("sources: {../a: x}\ndata: d", "source name '../a' must be letters"),
        ("sources: {a: {spec: x, taps: map}}\ndata: d", "sources.a.taps: must be a valid list, got 'map'"),
        (THREE_LINES + "budget: 20 fortnights", "budget: must be a mapping of flops, latency, memory, train, got '20"),
        (THREE_LINES + "candidates: 5", "write auto, a list of methods or a mapping {NAME: METHOD}, not '5'"),
        (
            THREE_LINES + "candidates: [features/gate, {fuse: a}]",
            "\"{'fuse': 'a'}\" is none",
        ),
        ("sources: [timm:a, file:a.pt]\ndata: d", "two sources would have the same name"),
        ("sources: {1: x, '1': y}\ndata: d", "two sources would have the same name"),
    ],
)
def test_sources_and_data_must_be_there_and_named(text: str, said: str) -> None:
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (THREE_LINES + "seeds: 1\nseeds: 2", 'found duplicate key "seeds"'),
        (THREE_LINES + "task: {metric: a, metric: b}", 'found duplicate key "metric"'),
        (THREE_LINES + "title: [", "expected the node content"),
        (THREE_LINES + "title: 2001-99-99", "month must be in 1..12"),
        (THREE_LINES + "title: !!int x", "invalid literal"),
        (THREE_LINES + "title: " + "9" * 5000, "Exceeds the limit"),
        (THREE_LINES + "title: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        (THREE_LINES + "title: \x00", "it is not YAML"),
        (THREE_LINES + "---\na: 1", "another document"),
        ("[" * 200_000, "nested too deeply"),
        ("data: " + "[" * 33 + "]" * 33, "nested too deeply"),
    ],
)
def test_what_is_no_yaml_is_one_clean_message(text: str, said: str) -> None:
    assert said in refusal(text)


def test_an_error_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(THREE_LINES + "seeds: 1\nseeds: 2\n")
    with pytest.raises(UserError) as caught:
        read(path)
    assert caught.value.where == f"{path}, line 4"


def test_an_alias_bomb_is_refused_before_it_can_grow() -> None:
    lines = ['a0: &a0 ["lol"]'] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert "no anchors or aliases" in refusal("\n".join(lines))
    assert "no anchors or aliases" in refusal("data: &loop [*loop]")


def test_a_huge_file_is_refused_by_its_size_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as handle:
        handle.truncate(100 * 1024 * 1024)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("the file was read"))
    with pytest.raises(UserError, match="too large to be one") as caught:
        read(path)
    assert caught.value.got == "104,857,600 bytes"


def test_a_huge_text_is_refused_too() -> None:
    assert "too large to be one" in refusal(THREE_LINES + "title: " + "ü" * (LARGEST_RECIPE_BYTES // 2))


def test_a_file_that_is_not_there_offers_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "fashion.yaml").write_text(THREE_LINES)
    with pytest.raises(UserError, match="no such recipe") as caught:
        read(tmp_path / "fashon.yaml")
    assert caught.value.hint == str(tmp_path / "fashion.yaml")
    with pytest.raises(UserError, match="no such recipe"):
        read(tmp_path / "nowhere" / "fashion.yaml")


def test_a_file_that_is_not_utf8_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(THREE_LINES.encode() + "title: größe".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        read(path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_is_read(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(mark + THREE_LINES + "title: größe\n", encoding="utf-8")
    assert read(path) == recipe("title: größe")
