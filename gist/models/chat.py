"""A conversation as the text that a model's chat template makes of it.

A template is a program that came with the model: it may raise whatever it likes, ask the clock, or
want its messages in another form. The clock stands still here, so that prompts, and with them
adapters, gist files and the names of runs, are the same on every day.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from transformers import PreTrainedTokenizerBase

from harness.errors import UserError, reading

Turn = tuple[str, str]  # role and content

NOW = datetime(2026, 1, 1)
MEND = "Correct the template in the model's folder, or remove it: then text is continued."

# The directives of strftime, with and without the flag that drops leading zeros.
_DIRECTIVES = {
    **{f"%{code}": NOW.strftime(f"%{code}") for code in "aAbBcdDeFgGhHIjmMnprRStTuUVwWxXyY"},
    **{f"%-{code}": NOW.strftime(f"%{code}").lstrip("0 ") or "0" for code in "deHIjmMSy"},
    **{"%f": "000000", "%z": "", "%Z": "", "%s": "1767225600"},
}
# Transformers gives templates a clock of this name and lets no function of ours through; but what a
# template defines itself comes first. The newline is part of the last tag (trim_blocks).
_CLOCK = (
    "{%- macro strftime_now(format='%c') -%}"
    "{%- set now = namespace(text=format | replace('%%', '\\0')) -%}"
    "{%- for code, value in directives_of_now.items() -%}"
    "{%- set now.text = now.text | replace(code, value) -%}"
    "{%- endfor -%}"
    "{{- now.text | replace('\\0', '%') -}}"
    "{%- endmacro %}\n"
)


def render_chat(
    tokenizer: PreTrainedTokenizerBase,
    turns: Sequence[Turn],
    *,
    add_generation_prompt: bool = False,
) -> str:
    """Return the chat template's text of turns, thinking off, on the date `NOW`.

    Raises:
        UserError: the template fails, or does not print the last turn.
    """
    options: dict[str, Any] = {"enable_thinking": False, "date_string": "1 January 2026"}
    template = _template(tokenizer)
    if "strftime_now" in template:
        template = _CLOCK + template
        options["directives_of_now"] = _DIRECTIVES
    failures = []  # the first is told: text is the form that most templates want
    for messages in _forms(turns):
        try:
            with reading("the model's chat template", fault="fails", advice=MEND):
                rendered = str(
                    tokenizer.apply_chat_template(
                        messages,
                        chat_template=template,
                        tokenize=False,
                        add_generation_prompt=add_generation_prompt,
                        **options,
                    )
                )
        except UserError as error:
            failures.append(error)
            continue
        content = messages[-1]["content"]
        if turns[-1][1] in rendered and (content is turns[-1][1] or str(content) not in rendered):
            return rendered
        failures.append(
            UserError(f"the model's chat template does not print the message as it is. {MEND}")
        )
    raise failures[0]


def _forms(turns: Sequence[Turn]) -> Iterator[list[dict[str, Any]]]:
    """Yield the messages in the forms that templates expect: text, then a list of parts."""
    yield [{"role": role, "content": text} for role, text in turns]
    yield [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]


def _template(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the template to use: the only one, or of named ones the default or the only one."""
    named = tokenizer.chat_template
    if isinstance(named, str):
        return named
    if isinstance(named, dict):
        kept = [named["default"]] if "default" in named else list(named.values())
        if len(kept) == 1 and isinstance(kept[0], str):
            return kept[0]
        names = ", ".join(sorted(map(str, named))) or "none"
        raise UserError(
            f"the model's chat templates are named {names}, and none is the default. Name one of "
            "them default in its folder, or remove them: then text is continued."
        )
    raise UserError(f"the model's chat template is no text but {type(named).__name__}. {MEND}")
