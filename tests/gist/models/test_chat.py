"""A chat template is a stranger's program: what it asks, how it wants messages, how it fails."""

from datetime import datetime

import pytest
import transformers.utils.chat_template_utils as transformers_templates

from gist.models.chat import NOW, render_chat
from gist.models.model import LanguageModel
from gist.models.prompt import TextTokenizer, end_of_turn, render_prompt
from harness.api import PROMPT
from harness.errors import UserError
from tests.support.tiny_models import CHAT_TEMPLATE, tiny_tokenizer

PARTS = (
    "{% for m in messages %}<|turn|>{{ m['role'] }}\n{% for p in m['content'] %}"
    "{% if p['type'] == 'text' %}{{ p['text'] }}{% endif %}{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
DATED = [
    "{% set today = strftime_now('%d %B %Y') %}Today is {{ today }}.\n",
    "{% if strftime_now is defined %}{% set date_string = strftime_now('%-d %b %Y') %}{% endif %}"
    "{{ date_string }}",
    "{% set y = strftime_now('%Y-%m-%d').split('-')[0] | int %}{{ y - 1 }}/{{ y }}",
    "{% macro day() %}{{ strftime_now(format='%A, %j %%d %H:%M:%S.%f %s') }}{% endmacro %}"
    "{% for n in range(2) %}{{ day() }}{% endfor %}",
]


class Tomorrow(datetime):
    """A clock that is not where it was when the adapter was trained."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        """Return a day of another year."""
        del tz
        return datetime(2031, 12, 24, 13, 14, 15)


@pytest.mark.parametrize("dated", DATED)
def test_the_prompt_is_the_same_on_every_day(
    tiny_qwen3: LanguageModel, monkeypatch: pytest.MonkeyPatch, dated: str
) -> None:
    """Whatever way a template asks the clock: or an adapter would be refused the next day."""
    inner = tiny_qwen3.tokenizer.inner
    inner.chat_template = dated + CHAT_TEMPLATE
    today = render_prompt(inner, PROMPT)
    monkeypatch.setattr(transformers_templates, "datetime", Tomorrow)
    assert render_prompt(inner, PROMPT) == today
    text = inner.decode(list(today.before))
    assert "2026" in text or "Thursday" in text
    assert "2031" not in text


@pytest.mark.parametrize(
    "format_", ["%d %B %Y", "%-d.%-m.%y", "%A %H:%M %p", "%%d %d", "%Y-%m-%dT%H:%M:%S", "", "a"]
)
def test_the_clock_writes_a_date_as_python_does(tiny_qwen3: LanguageModel, format_: str) -> None:
    """The frozen day is written in the form that the template asks for."""
    inner = tiny_qwen3.tokenizer.inner
    inner.chat_template = "  {% if true %}{{ strftime_now('" + format_ + "') }}{% endif %}|"
    inner.chat_template += "{{ messages[0]['content'] }}"
    assert render_chat(inner, [("user", "x")]) == NOW.strftime(format_) + "|x"


def test_a_template_without_a_clock_is_rendered_as_it_stands(tiny_qwen3: LanguageModel) -> None:
    """Its text is what transformers makes of it, white space included."""
    inner = tiny_qwen3.tokenizer.inner
    for template in (CHAT_TEMPLATE, "\n  {% if true %}\n x{% endif %}\n" + CHAT_TEMPLATE):
        inner.chat_template = template
        message = [{"role": "user", "content": "x"}]
        assert render_chat(inner, [("user", "x")]) == inner.apply_chat_template(
            message, tokenize=False
        )
        dated = "{# strftime_now #}" + template  # a clock that is not read changes nothing
        inner.chat_template = dated
        expected = inner.apply_chat_template(message, tokenize=False)
        assert render_chat(inner, [("user", "x")]) == expected


def test_messages_as_lists_of_parts_are_the_same_prompt(tiny_qwen3: LanguageModel) -> None:
    """A template that wants parts gets them; the end of a turn is found with it too."""
    inner = tiny_qwen3.tokenizer.inner
    plain, end = render_prompt(inner, PROMPT), end_of_turn(inner)
    inner.chat_template = PARTS
    assert render_prompt(inner, PROMPT) == plain
    assert end_of_turn(inner) == end is not None


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('a system message comes first') }}", "a system message comes first"),
        ("{% for m in messages %}", "Unexpected end of template"),
        ("{{ messages[0]['content'] + 1 }}", "can only concatenate"),
        ("{{ messages[0]['no']['such'] }}", "has no attribute"),
        ("{{ 1 // 0 }}", "by zero"),
        ("{{ now() }}", "'now' is undefined"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ("{{ messages | map(attribute='content.__class__') | list | first | fail }}", "fail"),
        ("{{ raise_exception('\x1b[2Jgone') }}", r"\\x1b\[2Jgone"),
        ("nothing of it", "does not print"),
        ("{{ messages[0]['content'] | upper }}", "does not print"),
        ("{{ messages }}", "does not print"),
        ("{{ messages[0]['content'] }}{{ messages[0]['content'] }}", "once"),
        ("{{ messages[0]['content'].split('[[question')[0] }}", "does not print"),
        ("{{ messages[0]['content'][9:] }}", "does not print"),
    ],
)
def test_a_template_that_fails_is_one_line(
    tiny_qwen3: LanguageModel, template: str, words: str
) -> None:
    """Whatever it raises, and where a document has no place in what it prints."""
    inner = tiny_qwen3.tokenizer.inner
    inner.chat_template = template
    with pytest.raises(UserError, match=words) as refused:
        render_prompt(inner, PROMPT)
    assert "chat template" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_of_named_templates_the_default_or_the_only_one_is_taken(
    tiny_qwen3: LanguageModel,
) -> None:
    """Several without a default are refused by their names."""
    inner = tiny_qwen3.tokenizer.inner
    plain = render_prompt(inner, PROMPT)
    for named in ({"rag": CHAT_TEMPLATE}, {"default": CHAT_TEMPLATE, "tool_use": "x"}):
        inner.chat_template = named
        assert render_prompt(inner, PROMPT) == plain
    inner.chat_template = {"rag": CHAT_TEMPLATE, "tool_use": CHAT_TEMPLATE}
    with pytest.raises(UserError, match="named rag, tool_use, and none is the default"):
        render_prompt(inner, PROMPT)


@pytest.mark.parametrize(
    "mark",
    [
        *("<think>", "</tool_call>", "[INST]", "<|fim|>", "<\uff5cuser\uff5c>"),
        *("\u25c1think\u25b7", "<think>\n", "\n\n</think>\n\n"),
    ],
)
@pytest.mark.parametrize("special", [True, False])
def test_a_control_token_in_a_document_is_plain_text(mark: str, special: bool) -> None:
    """Also one that is added to the vocabulary and not marked as special."""
    inner = tiny_tokenizer(chat=True)
    expected = TextTokenizer(inner).encode(f"a{mark}b <|end|>")
    inner.add_tokens([mark], special_tokens=special)
    number = inner.convert_tokens_to_ids(mark)
    assert number in inner(f"a{mark}b")["input_ids"]  # the trap
    assert TextTokenizer(inner).encode(f"a{mark}b <|end|>") == expected
    inner.chat_template = mark + CHAT_TEMPLATE
    assert render_prompt(inner, PROMPT).before[0] == number  # the template's own stays what it is


def test_added_tokens_that_are_text_stay_tokens() -> None:
    """Runs of spaces and words that a vocabulary adds are read as it reads them."""
    inner = tiny_tokenizer(chat=True)
    inner.add_tokens(["    ", "gist-bench", "<br", "a < b > c"])
    tokenizer = TextTokenizer(inner)
    for text in ("x    y", "gist-bench", "a < b > c"):
        assert tokenizer.encode(text) == inner(text)["input_ids"]
    inner.add_tokens(["<think>"])
    tokenizer = TextTokenizer(inner)
    for text in ("x    y", "gist-bench", "a < b > c"):
        assert tokenizer.encode(text) == inner(text)["input_ids"]
