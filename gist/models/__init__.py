"""Language models: loading, sizes, prompts, memory."""
