"""Keys move as the model rotates them; segments join as if they had been read in their order."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PhiConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
    SmolLM3Config,
)

from backends.gist import Gist
from backends.hierarchical import Hierarchical
from gist.adapter import attached
from gist.caches import entries_of
from gist.compress import compress
from gist.decode import ask
from gist.hierarchy import condense
from gist.layout import GistPlan
from gist.models.model import LanguageModel
from gist.rotary import rotate
from gist.windows import Segments, allocate_gists, compress_segments, join
from harness.errors import ContextTooLong, UserError
from tests.support.tiny_adapter import PLAN, save_tiny_adapter

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}
ROPE = {"rope_theta": 10_000.0}
LLAMA_3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
MOVABLE: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**SHAPE),
    "llama linear": LlamaConfig(
        **SHAPE, rope_parameters={**ROPE, "rope_type": "linear", "factor": 4.0}
    ),
    "llama 3": LlamaConfig(
        **SHAPE,
        rope_parameters={
            **ROPE,
            **LLAMA_3,
            "rope_type": "llama3",
            "original_max_position_embeddings": 64,
        },
    ),
    "llama yarn": LlamaConfig(
        **SHAPE,
        rope_parameters={
            **ROPE,
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ),
    "mistral": MistralConfig(**SHAPE, sliding_window=None),
    "qwen3": Qwen3Config(**SHAPE, head_dim=8),
    "phi, a half rotated": PhiConfig(
        **SHAPE, rope_parameters={**ROPE, "rope_type": "default", "partial_rotary_factor": 0.5}
    ),
}
UNMOVABLE: dict[str, PretrainedConfig] = {
    "gpt2, learnt positions": GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4),
    "llama dynamic": LlamaConfig(
        **SHAPE, rope_parameters={**ROPE, "rope_type": "dynamic", "factor": 4.0}
    ),
    "smollm3, layers without positions": SmolLM3Config(**SHAPE),
}
CONTEXT = tuple(range(10, 250))
QUESTION = [60, 61, 62]
SENTENCES = "Ann keeps bees in a far valley. Her neighbour has never liked them. Why? " * 12


def built(config: PretrainedConfig, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    """Return a random model."""
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return model.eval()


def keys_at(model: PreTrainedModel, positions: list[int]) -> list[torch.Tensor]:
    """Return each layer's keys of one text, read at some positions."""
    ids = torch.arange(1, len(positions) + 1)[None]
    with torch.inference_mode():
        cache = model(ids, position_ids=torch.tensor([positions]), use_cache=True).past_key_values
    return [entries_of(layer)[0] for layer in cache.layers]


@pytest.mark.parametrize("kind", MOVABLE)
def test_moved_keys_are_those_read_there(kind: str) -> None:
    """A text read further on has the same keys, turned: all angles between tokens are alike."""
    model = built(MOVABLE[kind])
    here, there = list(range(10)), list(range(200, 210))
    for mine, theirs in zip(keys_at(model, here), keys_at(model, there), strict=True):
        assert (mine - theirs).abs().max() > 1e-3
        # The angles of positions are float32 in every model.
        torch.testing.assert_close(rotate(mine, here, there, model), theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["llama yarn", "phi, a half rotated"])
def test_the_first_layer_moves_exactly(kind: str) -> None:
    """Below attention nothing but the position tells two keys apart, so nothing else may differ."""
    model = built(MOVABLE[kind])
    here, there = [0, 1, 2, 3], [300, 7, 7, 41]
    moved = rotate(keys_at(model, here)[0], here, there, model)
    torch.testing.assert_close(moved, keys_at(model, there)[0], atol=1e-12, rtol=0)


def test_there_and_back_is_where_it_was() -> None:
    """In half precision too, as far as it rounds; and no move is no change of a bit."""
    model = built(MOVABLE["qwen3"], torch.bfloat16)
    here, there = list(range(10)), [400 - 3 * p for p in range(10)]
    keys = keys_at(model, here)[1]
    back = rotate(rotate(keys, here, there, model), there, here, model)
    assert back.dtype == torch.bfloat16
    torch.testing.assert_close(back, keys, atol=0.03, rtol=0.02)
    assert torch.equal(rotate(keys, here, here, model), keys)


@pytest.mark.parametrize("kind", UNMOVABLE)
def test_keys_that_cannot_be_moved_are_refused(kind: str) -> None:
    """Where the rotation cannot be undone, a line says so."""
    model = built(UNMOVABLE[kind])
    with pytest.raises(UserError, match="move"):
        rotate(torch.zeros(1, 2, 3, 8), [0, 1, 2], [5, 6, 7], model)


@pytest.fixture
def adapter(tiny_model: LanguageModel, tmp_path: Path) -> Path:
    """An adapter for the tiny model."""
    return save_tiny_adapter(tiny_model, tmp_path / "adapter")


@pytest.fixture
def adapted(tiny_model: LanguageModel, adapter: Path) -> Iterator[LanguageModel]:
    """A tiny model with its adapter on."""
    with attached(tiny_model, adapter):
        yield tiny_model


def three(lm: LanguageModel) -> Segments:
    """Return a context as three segments."""
    return compress_segments(lm, [CONTEXT[:80], CONTEXT[80:160], CONTEXT[160:]], [5, 5, 6], PLAN)


def answered(lm: LanguageModel, state: object) -> list[list[int]]:
    """Ask a state for a few tokens."""
    return ask(lm, state, [QUESTION], max_new_tokens=6, min_new_tokens=6)  # type: ignore[arg-type]


def test_one_segment_is_plain_compression(adapted: LanguageModel) -> None:
    """Joined with nothing else, a segment is what `compress` gives, to the bit."""
    segments = compress_segments(adapted, [CONTEXT], [16], PLAN)
    joined = join(adapted, segments.prefix, segments.parts)
    plain = compress(adapted, CONTEXT, gists=16, plan=PLAN)
    assert joined.next_position == plain.next_position
    for mine, theirs in zip(joined.cache.layers, plain.cache.layers, strict=True):
        assert torch.equal(entries_of(mine)[0], entries_of(theirs)[0])
        assert torch.equal(entries_of(mine)[1], entries_of(theirs)[1])


def test_segments_stand_one_after_another(adapted: LanguageModel) -> None:
    """Every gist stands where it would stand in the full text, scaled into the range of one."""
    segments = three(adapted)
    joined = join(adapted, segments.prefix, segments.parts)
    before = len(adapted.prompt.before)
    assert joined.entries == before + 16
    assert joined.next_position == before + 80
    moved = [
        [before + (80 * number + position - before) * 80 // len(CONTEXT) for position in positions]
        for number, positions in enumerate(part.positions for part in segments.parts)
    ]
    everywhere = [position for positions in moved for position in positions]
    assert everywhere == sorted(everywhere)
    for number, layer in enumerate(joined.cache.layers):
        own = [entries_of(part.gists.cache.layers[number]) for part in segments.parts]
        keys, values = entries_of(layer)
        assert torch.equal(values[:, :, before:], torch.cat([pair[1] for pair in own], dim=2))
        turned = [
            rotate(pair[0], part.positions, positions, adapted.model)
            for pair, part, positions in zip(own, segments.parts, moved, strict=True)
        ]
        assert torch.equal(keys[:, :, before:], torch.cat(turned, dim=2))


def test_joining_leaves_the_segments_as_they_were(adapted: LanguageModel) -> None:
    """Joined twice, and asked in between, a context answers the same."""
    segments = three(adapted)
    first = answered(adapted, join(adapted, segments.prefix, segments.parts))
    answered(adapted, join(adapted, segments.prefix, segments.parts[::-1]))
    assert answered(adapted, join(adapted, segments.prefix, segments.parts)) == first


def test_joined_segments_take_the_range_of_one(adapted: LanguageModel) -> None:
    """However many they are, the range does not grow, the prefix stays, and a question fits."""
    segments = three(adapted)
    before = len(adapted.prompt.before)
    many = join(adapted, segments.prefix, segments.parts * 12)
    assert 12 * len(CONTEXT) > adapted.max_positions
    assert many.entries == before + 12 * 16
    assert many.next_position == before + 80
    for mine, alone in zip(many.cache.layers, segments.prefix.cache.layers, strict=True):
        assert torch.equal(entries_of(mine)[0][:, :, :before], entries_of(alone)[0])
    assert len(answered(adapted, many)[0]) == 6


def test_gists_are_allocated_by_size() -> None:
    """The sum is what was asked for; a segment has one at least, and none more than it has room."""
    plan = GistPlan(rows=4, segment_tokens=64)
    assert allocate_gists([100, 100, 200], 40, GistPlan(rows=64)) == [10, 10, 20]
    assert allocate_gists([1, 1, 1000], 3, plan) == [1, 1, 1]
    assert allocate_gists([64, 64], 20, plan) == [4, 4]
    with pytest.raises(UserError, match="each needs one"):
        allocate_gists([10, 10, 10], 2, plan)


def test_the_prefix_is_dropped_if_the_plan_says_so(adapted: LanguageModel) -> None:
    """A plan without the prompt's beginning keeps gists alone."""
    plan = GistPlan(rows=32, segment_tokens=32, keep_prefix=False)
    segments = compress_segments(adapted, [CONTEXT[:80], CONTEXT[80:]], [4, 4], plan)
    assert join(adapted, segments.prefix, segments.parts).entries == 8


def test_windows_hold_what_no_single_pass_can(tiny_model: LanguageModel, adapter: Path) -> None:
    """A context of more tokens than the model has positions is asked all the same."""
    text = SENTENCES * 4
    assert len(tiny_model.tokenizer.encode(text)) > tiny_model.max_positions
    backend = Gist(tiny_model, checkpoint=adapter, tokens=64, window_tokens=300)
    try:
        prepared = backend.prepare(text)
        (answer,) = prepared.generate(["Who?"], max_new_tokens=4)
    finally:
        backend.close()
    assert prepared.context_entries == answer.context_entries == 64
    plain = Gist(tiny_model, checkpoint=adapter, tokens=64)
    try:
        with pytest.raises(ContextTooLong):
            plain.prepare(text)
    finally:
        plain.close()


def test_a_context_of_one_window_is_not_cut(tiny_model: LanguageModel, adapter: Path) -> None:
    """`window_tokens` changes nothing for a context that is not longer."""
    answers = []
    for window_tokens in (None, 2000):
        backend = Gist(tiny_model, checkpoint=adapter, window_tokens=window_tokens)
        prepared = backend.prepare(SENTENCES)
        answers.append((prepared.held_bytes, prepared.generate(["Who?"], max_new_tokens=4)))
        backend.close()
    assert answers[0] == answers[1]


def test_a_second_level_reads_the_first_alone(adapted: LanguageModel) -> None:
    """Gists of gists depend on the entries of the first level, and on nothing that was dropped."""
    segments = three(adapted)
    before = len(adapted.prompt.before)
    second = condense(adapted, segments, fan_in=2, gists=[4, 3], plan=PLAN)
    assert [part.gists.entries for part in second.parts] == [4, 3]
    assert [part.span for part in second.parts] == [80, 80]
    joined = join(adapted, second.prefix, second.parts)
    assert joined.entries == before + 7
    assert joined.next_position == before + 80
    other = Segments(segments.prefix, (segments.parts[2], segments.parts[1], segments.parts[2]))
    changed = condense(adapted, other, fan_in=2, gists=[4, 3], plan=PLAN)
    same, different = (
        [
            torch.equal(a, b)
            for a, b in zip(*(entries_of(s.gists.cache.layers[1]) for s in (x, y)), strict=True)
        ]
        for x, y in zip(second.parts[::-1], changed.parts[::-1], strict=True)
    )
    assert same == [True, True]
    assert different == [False, False]


def test_a_second_level_cannot_hold_more_than_it_reads(adapted: LanguageModel) -> None:
    """More gists than there are entries compress nothing."""
    with pytest.raises(UserError, match="at most 5"):
        condense(adapted, three(adapted), fan_in=1, gists=[6, 5, 5], plan=PLAN)


@pytest.mark.parametrize(
    "options",
    [{"window_tokens": 8}, {"fan_in": 0}, {"first_ratio": 0.5}, {"tokens": 0}],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(
    tiny_llama: LanguageModel, options: dict[str, float]
) -> None:
    """Each with a line that names the option; the model is left without an adapter."""
    (name,) = options
    with pytest.raises(ValueError, match=name):
        Hierarchical(tiny_llama, untrained=True, **options)  # type: ignore[arg-type]
    assert not hasattr(tiny_llama.model, "peft_config")


def test_an_empty_context_has_no_windows(tiny_llama: LanguageModel) -> None:
    """Nothing cannot be compressed twice."""
    backend = Hierarchical(tiny_llama, untrained=True)
    with pytest.raises(UserError, match="empty"):
        backend.prepare(" \n")
    backend.close()
