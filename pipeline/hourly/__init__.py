"""A source that has values per stay and hour, as ricu and YAIB write them, for EHR models."""
