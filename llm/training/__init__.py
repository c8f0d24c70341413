"""Training a language model on a game: a solver's direction, transformers' loop, a folder to go on from."""
