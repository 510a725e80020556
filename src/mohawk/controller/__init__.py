"""Plans, places, routes and watches. Never imports torch or transformers."""
