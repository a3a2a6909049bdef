"""The real model, end to end: SmolLM2 answers a question about a lease, and only with the lease.

Its first load on a machine dequantises it into the person's own cache, as any command does.
"""

import csv
import json
from pathlib import Path

import pytest

from gist.models.smollm2 import INSTALL, MODEL
from harness.cli import main
from harness.run.environment import OPENMP

pytestmark = pytest.mark.skipif(bool(MODEL.missing()), reason=f"to run it: {INSTALL}")

LEASE = """Residential lease. The landlord is Harriet Okafor. The tenant is Daniel Brennan.
The flat is on the third floor of 14 Alder Street. The monthly rent is 2,480 euros, due on the
first day of each month. The deposit is 4,960 euros. The lease begins on 1 March 2025 and ends on
28 February 2027. Pets are not allowed. Notice must be given three months in advance."""
QUESTION = {"id": "rent", "question": "What is the monthly rent?", "answers": ["2,480 euros"]}


def test_the_rent_is_read_from_the_lease(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the lease the answer has the rent, without it it has not; no model is named.

    Both answers end by themselves, at the end of the turn.
    """
    data = tmp_path / "lease.jsonl"
    data.write_text(json.dumps({"id": "lease", "context": LEASE, "questions": [QUESTION]}))
    arguments = ["run", "--suite", f"qa,data={data}", "--out", str(tmp_path / "runs")]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--backend", "full", "--backend", "closed_book", "--device", "cpu"])
    assert ended.value.code in (0, None), capsys.readouterr().err
    shown = " ".join(capsys.readouterr().out.split())
    (folder,) = (tmp_path / "runs").iterdir()
    with (folder / "records.csv").open(encoding="utf-8") as file:
        rows = {row["backend"]: row for row in csv.DictReader(file)}
    assert "2,480" in rows["full"]["answer"]
    assert "2,480" not in rows["closed_book"]["answer"]
    assert all(int(row["new_tokens"]) < 32 for row in rows.values())
    run = json.loads((folder / "run.json").read_text())
    assert set(run["environment"]["openmp"]) <= set(OPENMP)
    assert f"Model: smollm2, {MODEL.title}, cpu, float32" in shown
    assert f"smollm2: licence {MODEL.licence}, from {MODEL.source}." in shown
    described = run["configuration"]["model_description"]
    assert described["name"] == "smollm2"
    assert (described["title"], described["licence"]) == (MODEL.title, MODEL.licence)
    assert described["source"] == MODEL.source


def test_the_prompt_is_the_chat_template_s() -> None:
    """The instruction stands in the user's turn, and the answer begins the assistant's."""
    from gist.models.loading import read_facts
    from gist.models.prompt import end_of_turn, render_prompt
    from harness.api import PROMPT

    _, tokenizer = read_facts("smollm2")
    pieces = render_prompt(tokenizer, PROMPT)
    before, between, after = (
        str(tokenizer.decode(list(ids))) for ids in (pieces.before, pieces.between, pieces.after)
    )
    assert before.endswith(f"<|im_end|>\n<|im_start|>user\n{PROMPT.head}")
    assert between == PROMPT.between
    assert after == "<|im_end|>\n<|im_start|>assistant\n"
    assert end_of_turn(tokenizer) == tokenizer.convert_tokens_to_ids("<|im_end|>")
