"""Pictures of preferences and of what was made of them; each with its data and its provenance."""

from analysis.drawing.chain import draw_refinement
from analysis.drawing.comparison import draw_comparison, draw_policy
from analysis.drawing.heatmap import draw_heatmap
from analysis.drawing.save import Drawing, save
from analysis.drawing.sensitivity import draw_sensitivity
from analysis.drawing.simplex import draw_simplex
from analysis.drawing.tournament import draw_tournament
