"""Training runs as files: YAML, with every field of the objects that one ``sb.solve`` takes, checked before it runs."""
