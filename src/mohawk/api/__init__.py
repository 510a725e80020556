"""The OpenAI-compatible HTTPS face."""
