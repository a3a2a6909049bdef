"""The words that generated contexts are made of, cut into a train and a test half.

Every name and value is a combination of two parts (syllables, or an adjective and a noun). Each
part occurs in both splits, each combination in one only: a model that has met the parts can
read and write a combination that it never saw. The split of a combination is a hash of its
text, so it depends on nothing else.
"""

import random
import zlib
from collections.abc import Sequence
from functools import partial
from typing import Literal

Split = Literal["train", "test"]

NAME_HEADS = (
    "Ta Be Mi Ro Su Ka Le Ni Do Fa Ga He Jo Lu Ma Ne Pa Ri Sa To Va We Yo Zi "
    "Bra Cle Dri Fro Gla Kre Plo Sha Sti Tru Bo Ha"
).split()
NAME_TAILS = (
    "vo lin ren mar dek sol bin tas gor nel pim rud sha lok fen zar wim dus kel yan "
    "bor cas fid gul hes jin lam mos nor pet ris tul vek wen zed bul"
).split()
PLACE_HEADS = (
    "Ald Bran Cor Dun Elm Far Gren Hal Ing Kel Lang Mer Nor Ost Pen Rad Sel Thorn Ulm Wes "
    "Yar Zel Carn Fen"
).split()
PLACE_TAILS = (
    "ford mere ton wick ham dale stead mouth bridge burgh ley combe gate hurst port field "
    "minster worth holm stow"
).split()
MATERIALS = (
    "glass copper paper silver timber leather marble cotton velvet iron clay ivory wool brass "
    "linen stone pearl canvas bamboo rubber"
).split()
CRAFTS = (
    "painter trader cutter dealer carver mender polisher buyer weaver sorter printer washer "
    "teacher binder packer tester"
).split()
COLOURS = (
    "amber crimson violet golden scarlet azure purple orange yellow green black white grey pink "
    "brown blue olive coral indigo bronze"
).split()
THINGS = (
    "vase lantern fiddle clock kettle mirror basket carpet ladder trumpet saddle bottle hammer "
    "candle compass barrel drum teapot wagon globe"
).split()
ADJECTIVES = "bold quiet swift proud lucky merry gentle brave clever patient noble honest".split()
ANIMALS = (
    "heron badger otter falcon lynx raven beaver stag weasel swan dolphin panther "
    "tortoise sparrow bison gecko"
).split()
SEASONS = "spring summer autumn winter river mountain harbour forest valley island desert".split()
CONTESTS = "race regatta lottery quiz parade debate concert tournament auction marathon".split()

TOPICS: dict[str, tuple[str, str, str]] = {
    "weather": (
        "the wind|a light rain|the morning fog|the thunder|a warm breeze|the cloud cover",
        "drifted in|held on|faded|grew stronger|came and went|settled",
        "before noon|over the hills|for most of the week|as usual|by the evening|once more",
    ),
    "farming": (
        "the wheat|the barley|the old tractor|the apple crop|a herd of cows|the hay",
        "did well|needed care|was looked after|stood in the sun|was brought in|had its turn",
        "near the barn|that season|behind the fence|with some help|on the north side|at dawn",
    ),
    "sailing": (
        "the tall ship|a small ferry|the anchor|the deck crew|a fishing boat|the main sail",
        "was made ready|waited|moved slowly|was checked twice|lay still|turned around",
        "at the pier|in the bay|before the tide|under a clear sky|past the rocks|at low water",
    ),
    "music": (
        "the choir|a slow melody|the second violin|the organ|an old song|the band",
        "was heard|began softly|went on|was practised|sounded fine|came to an end",
        "in the hall|after the break|without a mistake|for an hour|as planned|to applause",
    ),
    "cooking": (
        "the soup|a loaf of bread|the oven|a pot of beans|the gravy|the pastry",
        "was kept warm|simmered|was stirred|cooled down|was served|turned out well",
        "in the kitchen|with some salt|on the stove|for the guests|at supper|without hurry",
    ),
    "railways": (
        "the night train|a freight car|the signal|the platform|the express|an empty carriage",
        "was on time|rolled past|was repaired|stood ready|was cleaned|slowed down",
        "at the junction|near the tunnel|on track two|before departure|in the yard|at the bend",
    ),
    "gardening": (
        "the rose bed|a row of tulips|the hedge|the lawn|a young fern|the ivy",
        "was watered|grew well|was trimmed|came up early|was planted|took root",
        "by the wall|in the shade|along the path|with new soil|in good light|beside the pond",
    ),
    "building": (
        "the brick wall|a new roof|the scaffold|the cement|the staircase|a wooden beam",
        "was measured|went up|was finished|held firm|was lifted|was set down",
        "on the site|within the week|by the crew|to the plan|with a crane|on the upper floor",
    ),
}
NEUTRAL = (
    "the day|the road|the sky|the grass|the sun|the hour|the street|a bell|the crowd|the water",
    "is long|is wide|is calm|goes on|is bright|turns|stays the same|is near|rests|is quiet",
    "here and there|as ever|again and again|all around|in its way|far and near|still|for a while",
)


def in_split(text: str, split: Split) -> bool:
    """Say whether a combination belongs to a split: a quarter of them is `test`."""
    return (zlib.crc32(text.encode()) % 4 == 0) == (split == "test")


def _combine(rng: random.Random, split: Split, form: str, parts: Sequence[list[str]]) -> str:
    while True:
        text = form.format(*(rng.choice(part) for part in parts))
        if in_split(text, split):
            return text


person = partial(_combine, form="{}{}", parts=(NAME_HEADS, NAME_TAILS))  # Tavo
place = partial(_combine, form="{}{}", parts=(PLACE_HEADS, PLACE_TAILS))  # Branford
job = partial(_combine, form="{} {}", parts=(MATERIALS, CRAFTS))  # glass painter
item = partial(_combine, form="{} {}", parts=(COLOURS, THINGS))  # amber vase
event = partial(_combine, form="{} {}", parts=(SEASONS, CONTESTS))  # harbour race
club = partial(_combine, form="{} {}", parts=(ADJECTIVES, ANIMALS))  # swift heron
key_word = partial(_combine, form="{}-{}", parts=(ANIMALS, THINGS))  # a key is no person or place
"""Each draws a name or value of its kind: `person(rng, split)`."""


def number(rng: random.Random, split: Split, digits: int) -> str:
    """Draw a number of exactly `digits` digits, none of them a leading zero."""
    while True:
        text = str(rng.randrange(10 ** (digits - 1), 10**digits))
        if in_split(text, split):
            return text


def filler_sentence(rng: random.Random, split: Split, topic: str | None = None) -> str:
    """Draw a sentence of low information, about a topic of `TOPICS` or about nothing."""
    subjects, verbs, ends = NEUTRAL if topic is None else TOPICS[topic]
    parts = (subjects.split("|"), verbs.split("|"), ends.split("|"))
    text = _combine(rng, split, "{} {} {}.", parts)
    return text[0].upper() + text[1:]
