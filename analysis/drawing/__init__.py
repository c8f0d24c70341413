"""How each picture is drawn; :mod:`analysis.figures` gathers the public names."""
