"""The demo model: facts about Mohawk, and the recipe that turns them into a toy chat model."""
