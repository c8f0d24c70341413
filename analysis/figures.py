"""Pictures of preferences and of what was made of them; each with its data and its provenance."""

from analysis.drawing.save import Drawing, save
from analysis.drawing.tournament import draw_tournament
