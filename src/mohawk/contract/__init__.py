"""What nodes may say to each other; belongs to neither side."""
