"""Models behind OpenAI-compatible servers: one client for tested models, teachers and judges."""
