"""Hugging Face folders: card, byte ranges, tokenizer, chat template. No torch."""
