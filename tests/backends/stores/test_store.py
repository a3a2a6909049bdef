"""A gist store keeps one gist per document, can be stopped anywhere, and finds the right one."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from backends.gist import Gist
from backends.stores import passages
from backends.stores.gistfiles import GistFiles
from backends.stores.held import DocumentCache
from backends.stores.passages import Passages
from backends.stores.store import Change, Store, document_id
from gist.caches import entries_of
from gist.decode import KVState
from gist.gistheader import read_manifest
from gist.models.model import LanguageModel
from harness.api import Source
from harness.errors import ContextTooLong, UserError
from tests.support.tiny_adapter import save_tiny_adapter
from tests.support.tiny_embedder import LetterEmbedder
from tests.support.tiny_models import load_tiny

TEXTS = {
    "bees.txt": "Ann keeps bees in a valley. Her neighbour has never liked them much.",
    "ferry/times.txt": "The ferry to Foxholm leaves at noon. Tickets are sold on board.",
    "zinc.txt": "Zinc quarries fuzz jazzy quartz. Zuzu puzzled over zigzag zeniths.",
}
QUESTIONS = {
    "bees.txt": "Who keeps bees?",
    "ferry/times.txt": "Is there a ferry to Foxholm at noon?",
}


def source(name: str, text: str) -> Source:
    """Return a document as if it had been read from a file."""
    return Source(name, text, hashlib.sha256(text.encode()).hexdigest(), len(text.encode()))


SOURCES = [source(name, text) for name, text in TEXTS.items()]


@pytest.fixture(scope="module")
def lm(tiny_llama_folder: Path) -> LanguageModel:
    """A tiny model; every store loads its adapter and unloads it again."""
    return load_tiny(tiny_llama_folder)


@pytest.fixture(scope="module")
def adapter(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter for the tiny model."""
    return save_tiny_adapter(lm, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def words(lm: LanguageModel, adapter: Path, tmp_path: Path) -> Iterator[Store]:
    """An empty store that is searched by words."""
    made = Store(lm, tmp_path / "store", checkpoint=adapter, tokens=6, embedder="bm25")
    yield made
    made.close()


@pytest.fixture
def vectors(words: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store that is searched by vectors in ChromaDB."""
    monkeypatch.setattr(passages, "open_embedder", lambda *_: (LetterEmbedder(), ""))
    return words


@pytest.fixture(params=["words", "vectors"])
def store(request: pytest.FixtureRequest) -> Store:
    """Either store, in turn."""
    made: Store = request.getfixturevalue(request.param)
    return made


def updated(store: Store, sources: Iterable[Source], **options: bool) -> dict[str, str]:
    """Bring a store up to date and return what became of each document."""
    return {change.name: change.what for change in store.update(sources, **options)}


def kept(store: Store) -> dict[str, bytes]:
    """Return the gist files of a store."""
    return {path.name: path.read_bytes() for path in store.folder.rglob("*.gist")}


def beside(store: Store, name: str) -> Path:
    """Return the path of a document's files, without their endings."""
    document = document_id(name)
    return store.folder / "documents" / document[:2] / document


def test_only_what_changed_is_done_again(store: Store) -> None:
    """New, unchanged, changed and removed documents are told apart by their files' hashes."""
    assert updated(store, SOURCES) == dict.fromkeys(TEXTS, "added")
    first = kept(store)
    assert updated(store, SOURCES) == dict.fromkeys(TEXTS, "unchanged")
    assert kept(store) == first
    other = source("bees.txt", "Ben keeps ants in a jar, and feeds them honey at night.")
    expected = {"bees.txt": "changed", "zinc.txt": "unchanged", "ferry/times.txt": "removed"}
    assert updated(store, [other, SOURCES[2]]) == expected
    second = kept(store)
    own = f"{document_id('bees.txt')}.gist"
    assert set(first) - set(second) == {f"{document_id('ferry/times.txt')}.gist"}
    assert second[own] != first[own]
    assert store.ask("Who keeps ants?", max_new_tokens=2).document == "bees.txt"
    assert all("ferry" not in f.passage for f in store.ask("ferry", max_new_tokens=1).found)


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_right_document_answers(store: Store, lm: LanguageModel, name: str) -> None:
    """A question is answered as the gists of its own document in memory answer it."""
    updated(store, SOURCES)
    answer = store.ask(QUESTIONS[name], max_new_tokens=8)
    assert answer.document == name
    assert answer.found[0].passage in TEXTS[name]
    store.close()
    backend = Gist(lm, checkpoint=store.checkpoint, tokens=6)
    (expected,) = backend.prepare(TEXTS[name]).generate([QUESTIONS[name]], max_new_tokens=8)
    backend.close()
    assert answer.generation == expected


def stopped_after(sources: list[Source], count: int) -> Iterator[Source]:
    """Yield some sources and then be interrupted."""
    yield from sources[:count]
    raise KeyboardInterrupt


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_stopped_update_loses_nothing(store: Store, count: int) -> None:
    """Documents that were done stay done, and none is dropped because it was not reached."""
    with pytest.raises(KeyboardInterrupt):
        updated(store, stopped_after(SOURCES, count))
    done = kept(store)
    assert len(done) == count
    after = updated(store, SOURCES)
    assert list(after.values()).count("unchanged") == count
    assert {name: kept(store)[name] for name in done} == done
    with pytest.raises(KeyboardInterrupt):
        updated(store, stopped_after(SOURCES, count))
    assert len(kept(store)) == len(SOURCES)


@pytest.mark.parametrize(
    ("owner", "method"),
    [(Passages, "put"), (Passages, "_put_vectors"), (GistFiles, "write_all")],
    ids=["before the passages", "between passages and vectors", "between vectors and gists"],
)
def test_a_document_that_was_begun_is_done_again(
    vectors: Store, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    """Killed between any two steps, the document in hand is not taken for done."""
    updated(vectors, SOURCES[:1])
    changed = source("bees.txt", "Ben keeps ants in a jar. " * 20)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(owner, method, killed)
        with pytest.raises(KeyboardInterrupt):
            updated(vectors, [changed])
    assert updated(vectors, [changed])["bees.txt"] == "added"
    assert updated(vectors, [changed])["bees.txt"] == "unchanged"
    assert vectors.ask("Who keeps ants?", max_new_tokens=2).found[0].passage.startswith("Ben")


def test_a_second_writer_is_refused(words: Store) -> None:
    """While one process writes, another one is told so and changes nothing."""
    updated(words, SOURCES[:1])
    before = kept(words)
    with FileLock(words.folder / "lock"), pytest.raises(UserError, match="another process"):
        updated(words, SOURCES)
    assert kept(words) == before
    assert updated(words, SOURCES)["zinc.txt"] == "added"


def test_other_options_are_refused(
    words: Store, lm: LanguageModel, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store is of one kind; --force makes all of it anew, also with another embedder."""
    updated(words, SOURCES)
    before = kept(words)
    words.close()
    monkeypatch.setattr(passages, "open_embedder", lambda *_: (LetterEmbedder(), ""))
    other = Store(lm, words.folder, checkpoint=adapter, tokens=4)
    with pytest.raises(UserError, match="another embedder"):
        updated(other, SOURCES)
    assert kept(words) == before
    assert set(updated(other, SOURCES, force=True).values()) == {"added"}
    assert set(kept(words)) == set(before)
    assert kept(words) != before
    assert other.ask("Who keeps bees?", max_new_tokens=2).document == "bees.txt"
    other.close()
    larger = Store(lm, words.folder, checkpoint=adapter, tokens=5)
    with pytest.raises(UserError, match="tokens=4 options"):
        updated(larger, SOURCES)
    larger.close()


def test_another_adapter_is_refused(words: Store, lm: LanguageModel, tmp_path: Path) -> None:
    """KV entries of one adapter mean nothing to another one."""
    updated(words, SOURCES[:1])
    words.close()
    assert words.checkpoint is not None
    shutil.copytree(words.checkpoint, tmp_path / "other")
    manifest = tmp_path / "other" / "gist.json"
    manifest.write_text(manifest.read_text().replace("16.0", "8.0"))
    other = Store(lm, words.folder, checkpoint=tmp_path / "other", tokens=6, embedder="bm25")
    for act in (lambda: updated(other, SOURCES), lambda: other.ask("Who?", max_new_tokens=1)):
        with pytest.raises(UserError, match="another adapter hash"):
            act()
    other.close()


def test_documents_that_cannot_be_compressed_are_reported(words: Store) -> None:
    """One that is too long fails by itself, and is tried again."""
    hard = [source("long.txt", "Ann keeps bees. " * 200), *SOURCES[:2]]
    for _ in range(2):
        changes: dict[str, Change] = {c.name: c for c in words.update(hard)}
        assert changes["long.txt"].what == "failed"
        assert "positions" in changes["long.txt"].detail
    assert len(kept(words)) == 2


def test_damage_is_one_line(words: Store) -> None:
    """A spoilt file of a store is refused by name, whichever it is."""
    updated(words, SOURCES)
    own = beside(words, "bees.txt")
    good = {path: path.read_bytes() for path in words.folder.rglob("*") if path.is_file()}
    for path, content in (
        (own.with_suffix(".gist"), good[own.with_suffix(".gist")][:-9]),
        (own.with_suffix(".gist"), None),
        (own.with_suffix(".json"), b"[]"),
        (words.folder / "store.json", b"{}"),
        (words.folder / "store.json", b"[" * 100_000),
        (words.folder / "store.json", None),
    ):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        words._passages = None  # as a new process would begin
        with pytest.raises(UserError) as refused:
            words.ask("Who keeps bees?", max_new_tokens=1)
        assert "\n" not in str(refused.value)
        path.write_bytes(good[path])
    assert words.ask("Who keeps bees?", max_new_tokens=1).document == "bees.txt"


@pytest.mark.parametrize("harm", [b"", b"{}", None, b"flip"], ids=["empty", "{}", "gone", "flip"])
def test_compress_repairs_a_damaged_store(store: Store, harm: bytes | None) -> None:
    """Whichever file it is; only what was damaged is done again, and strange files stay."""
    updated(store, SOURCES)
    good = store.ask("Who keeps bees?", max_new_tokens=4)
    foreign = store.folder / "documents" / "mine.json"
    foreign.write_text("{")
    own = beside(store, "bees.txt")
    for path in (own.with_suffix(".gist"), own.with_suffix(".json"), store.folder / "store.json"):
        whole = path.read_bytes()
        if harm is None:
            path.unlink()
        else:
            path.write_bytes(whole[:-5] + b"\xff" + whole[-4:] if harm == b"flip" else harm)
        changes = updated(store, SOURCES)
        redone = list(changes) if path.name == "store.json" else ["bees.txt"]
        assert sorted(name for name in changes if changes[name] != "unchanged") == sorted(redone)
        assert set(updated(store, SOURCES).values()) == {"unchanged"}
        assert store.ask("Who keeps bees?", max_new_tokens=4) == good
    assert foreign.read_text() == "{"


def leave_index(store: Store) -> None:
    """Close the index, as when a process ends."""
    assert store._passages is not None
    store._passages.close()
    store._passages = None


def harmed_database(chroma: Path) -> None:
    """Spoil pages in the middle."""
    with (chroma / "chroma.sqlite3").open("r+b") as file:
        for page in range(1, os.fstat(file.fileno()).st_size // 4096, 10):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)


def without_a_table(chroma: Path) -> None:
    """Take a table out of the database."""
    with closing(sqlite3.connect(chroma / "chroma.sqlite3")) as database:
        database.execute("drop table embeddings")
        database.commit()


def of_another_dimension(chroma: Path) -> None:
    """Say that the vectors are of another embedder."""
    with closing(sqlite3.connect(chroma / "chroma.sqlite3")) as database:
        database.execute("update collections set dimension = 7")
        database.commit()


def file_in_its_place(chroma: Path) -> None:
    """Put a file where the folder was."""
    shutil.rmtree(chroma)
    chroma.write_text("hello")


HARMS: dict[str, Callable[[Path], object]] = {
    "noise": lambda chroma: (chroma / "chroma.sqlite3").write_bytes(b"\x07noise" * 999),
    "empty": lambda chroma: (chroma / "chroma.sqlite3").write_bytes(b""),
    "cut": lambda chroma: os.truncate(chroma / "chroma.sqlite3", 50_000),
    "pages": harmed_database,
    "table": without_a_table,
    "dimension": of_another_dimension,
    "gone": shutil.rmtree,
    "file": file_in_its_place,
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("asked", [False, True], ids=["", "asked before"])
def test_compress_makes_a_damaged_index_anew(vectors: Store, harm: str, asked: bool) -> None:
    """From the passages: gists are kept, and no message is about the insides of ChromaDB."""
    updated(vectors, SOURCES)
    good, answer = kept(vectors), vectors.ask("Who keeps bees?", max_new_tokens=4)
    leave_index(vectors)
    HARMS[harm](vectors.folder / "documents" / "chroma")
    if asked:
        with suppress(UserError):
            vectors.ask("Who keeps bees?", max_new_tokens=4)
    assert set(updated(vectors, SOURCES).values()) == {"unchanged"}
    assert kept(vectors) == good
    assert vectors.ask("Who keeps bees?", max_new_tokens=4) == answer


def test_a_damaged_index_is_one_line_when_asked(vectors: Store) -> None:
    """Each time, and it says what repairs it."""
    updated(vectors, SOURCES)
    leave_index(vectors)
    HARMS["noise"](vectors.folder / "documents" / "chroma")
    for _ in range(2):
        with pytest.raises(UserError, match="gist-bench compress") as refused:
            vectors.ask("Who?", max_new_tokens=1)
        assert "not a database" in str(refused.value)
        assert "object" not in str(refused.value)


def test_an_empty_store_says_so(store: Store) -> None:
    """No documents, no answer."""
    with pytest.raises(UserError, match="no gist store"):
        store.ask("Who?", max_new_tokens=1)
    assert updated(store, []) == {}
    with pytest.raises(UserError, match="holds no"):
        store.ask("Who?", max_new_tokens=1)


def test_the_manifest_says_what_made_it(words: Store, lm: LanguageModel) -> None:
    """Model and adapter can be found again from any folder."""
    updated(words, [])
    manifest = Store.read_manifest(words.folder)
    assert Path(manifest["model"]).is_absolute()
    assert Path(manifest["checkpoint"]).is_absolute()
    assert (manifest["base_fingerprint"], manifest["options"]) == (lm.fingerprint, "tokens=6")
    assert json.loads((words.folder / "store.json").read_text()) == manifest


def test_documents_held_stay_within_their_bytes(words: Store) -> None:
    """The document that was not asked longest leaves; without room none stays."""
    updated(words, SOURCES)
    paths = sorted(words.folder.rglob("*.gist"))
    one = words._files.open(paths[0]).held_bytes
    held = DocumentCache(words._files, 2 * one)
    for number, loaded in ((0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 4)):
        with held.opened(paths[number]) as context:
            context.generate(["Who?"], max_new_tokens=1)
        assert held.loaded == loaded
        assert held.held_bytes <= 2 * one
    none = DocumentCache(words._files, 0)
    with held.opened(paths[1]) as first, none.opened(paths[1]) as second:
        assert first.generate(["Who?"], max_new_tokens=4) == second.generate(
            ["Who?"], max_new_tokens=4
        )
    assert (none.held_bytes, none.loaded) == (0, 1)


def test_a_changed_file_is_read_anew(words: Store) -> None:
    """What is held is not older than what is on the disk."""
    updated(words, SOURCES[:1])
    first = words.ask("Who keeps bees?", max_new_tokens=8).generation
    updated(words, [source("bees.txt", "Ben keeps ants in a jar, and bees too. " * 3)])
    second = words.ask("Who keeps bees?", max_new_tokens=8).generation
    assert second.text != first.text


def test_no_folder_holds_all_files(store: Store) -> None:
    """Files stand in folders by the first letters of their names; 256 folders share them."""
    updated(store, SOURCES)
    for path in (*store.folder.rglob("*.gist"), *store.folder.glob("documents/*/*.json")):
        assert path.parent == store.folder / "documents" / path.name[:2]


def test_a_store_of_an_earlier_version_is_read_and_kept(store: Store) -> None:
    """Files beside each other are found, asked, brought up to date and removed as the others."""
    updated(store, SOURCES)
    answer = store.ask("Who keeps bees?", max_new_tokens=4)
    for name in TEXTS:
        for ending in (".gist", ".json"):
            path = beside(store, name).with_suffix(ending)
            path.rename(store.folder / "documents" / path.name)
    assert store.ask("Who keeps bees?", max_new_tokens=4) == answer
    assert set(updated(store, SOURCES).values()) == {"unchanged"}
    other = source("bees.txt", "Ben keeps ants in a jar, and feeds them honey at night.")
    assert updated(store, [other])["bees.txt"] == "changed"
    assert len(kept(store)) == 1
    assert store.ask("Who keeps ants?", max_new_tokens=2).document == "bees.txt"


def test_a_batch_is_compressed_as_its_documents_one_by_one(words: Store, tmp_path: Path) -> None:
    """Documents of many lengths in few passes: the same headers, and entries up to rounding."""
    texts = [" ".join(["Ann keeps bees in a valley."] * n) for n in (1, 1, 2, 3, 2, 5, 4)]
    sources = [source(f"{number}.txt", text) for number, text in enumerate(texts)]
    updated(words, sources)
    for each in sources:
        alone = tmp_path / each.name
        path = words._path(document_id(each.name))
        assert words._files.write(each, alone) == read_manifest(path)
        opened, expected = (words._files.open(file).state for file in (path, alone))
        assert isinstance(opened, KVState)
        assert isinstance(expected, KVState)
        assert opened.next_position == expected.next_position
        assert opened.held_bytes == expected.held_bytes
        for layers in zip(opened.cache.layers, expected.cache.layers, strict=True):
            mine, others = map(entries_of, layers)
            torch.testing.assert_close(mine, others, rtol=1e-4, atol=1e-5)


def test_a_store_does_not_repeat_the_beginning_of_the_prompt(words: Store, tmp_path: Path) -> None:
    """Its files hold the gists alone; the file of one document holds all that is in memory."""
    updated(words, SOURCES)
    (path, *_) = words.folder.rglob("*.gist")
    assert {tensor.shape[1] for tensor in load_file(path).values()} == {6}
    manifest = words._files.write(SOURCES[0], tmp_path / "alone.gist")
    (entries,) = {tensor.shape[1] for tensor in load_file(tmp_path / "alone.gist").values()}
    assert entries == manifest.entries > 6
    context = words._files.open(path)
    assert context.state.entries == manifest.entries


def test_one_document_that_cannot_be_indexed_fails_alone(
    vectors: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an embedder refuses does not take the documents of its batch with it."""
    embed = LetterEmbedder.embed_passages

    def refusing(self: LetterEmbedder, texts: list[str]) -> object:
        if any("Zinc" in text for text in texts):
            raise ContextTooLong("a passage is too long")
        return embed(self, texts)

    monkeypatch.setattr(LetterEmbedder, "embed_passages", refusing)
    done = updated(vectors, SOURCES)
    assert done == {"bees.txt": "added", "ferry/times.txt": "added", "zinc.txt": "failed"}
