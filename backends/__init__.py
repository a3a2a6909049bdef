"""Ways to give a model a context, one file each; they meet the harness in `harness.api.Backend`."""
