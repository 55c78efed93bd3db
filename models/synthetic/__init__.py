"""Made tasks whose answer is known: what a mechanism must be able to learn, with chance and ceiling told."""
