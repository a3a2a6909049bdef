"""The GPU that tables of what fits are made for."""

GPU = "24 GB GPU"
GPU_USABLE_BYTES = 23 * 2**30  # an RTX 3090 or 4090 has 24 GiB; driver and screen take some
