"""SQuAD files as data files of gist-bench."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.paths import DATA

EXCERPT = DATA / "squad"


def write_data_file(squad: Path, target: Path) -> Path:
    """Write a SQuAD file as JSONL, one line per paragraph; return `target`."""
    rows = [
        {
            "id": f"{title}.{index}",
            "context": paragraph["context"],
            "questions": [
                {"id": qa["id"], "question": qa["question"], "answers": _texts(qa)}
                for qa in paragraph["qas"]
            ],
        }
        for title, index, paragraph in _paragraphs(squad)
    ]
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return target


def answers(squad: Path) -> dict[str, list[str]]:
    """Return the accepted answers of every question by its id; none: unanswerable."""
    return {
        qa["id"]: _texts(qa) for _, _, paragraph in _paragraphs(squad) for qa in paragraph["qas"]
    }


def predictions(path: Path) -> dict[str, str]:
    """Return a system's answers by question id."""
    given: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return given


def _paragraphs(squad: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for article in json.loads(squad.read_text(encoding="utf-8"))["data"]:
        for index, paragraph in enumerate(article["paragraphs"]):
            yield article["title"], index, paragraph


def _texts(qa: dict[str, Any]) -> list[str]:
    return [answer["text"] for answer in qa["answers"]]
