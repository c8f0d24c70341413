"""Generators that hold many completions under way at once: :class:`llm.ContinuousBatching` and :class:`llm.Server`."""
