"""What every test of language models starts from."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """Adapters draw their first weights from torch's own generator."""
    torch.manual_seed(0)
