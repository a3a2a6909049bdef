"""The reference model: a Llama of one million parameters, trained from random weights for tests."""

from pathlib import Path

from harness.errors import UserError

_ROOT = Path(__file__).parents[1] / "reference"


class Reference:
    """The model in `gist/reference`."""

    title = "1M parameters, trained on the documents that this project generates"
    licence = "MIT"
    source = "gist-bench train-reference"
    reads = "nothing but the documents that this project generates"
    reads_any_text = False
    answers_in_sentences = False
    weights = _ROOT / "model"
    adapter = _ROOT / "adapter"

    def missing(self) -> str:
        """Return what to type where the model is not there."""
        if (self.weights / "config.json").is_file():
            return ""
        return "the reference model is not installed. Make it with: gist-bench train-reference"

    def folder(self, *, weights: bool) -> Path:  # noqa: ARG002 - both are in one folder
        """Return its folder."""
        if missing := self.missing():
            raise UserError(missing)
        return self.weights


MODEL = Reference()
