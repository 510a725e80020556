"""Small frozen nouns, valid by construction."""
