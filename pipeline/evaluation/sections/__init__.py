"""The sections of a result: each turns predictions into one part of it, typed in `stage`."""
