"""The card that tables of what fits are made for."""

CARD = "24 GB card"
CARD_USABLE_BYTES = 23 * 2**30  # an RTX 3090 or 4090 has 24 GiB; driver and screen take some
