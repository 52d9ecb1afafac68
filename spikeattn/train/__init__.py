"""Training: a recipe, one function that runs it, and what it leaves behind.

    splits = spikeattn.data.load("digits")
    recipe = Recipe.read("recipes/digits_bsa.toml")
    result = fit(build_model(recipe, splits), splits, recipe)
    print(result.test.accuracy)
"""

from spikeattn.train.config import Recipe
from spikeattn.train.engine import Progress, Result, build_model, fit
from spikeattn.train.evaluation import Evaluation, evaluate
from spikeattn.train.guard import FiringRate, FiringWarning, NonFiniteError, measured_rates
from spikeattn.train.record import weights_hash

__all__ = ["Evaluation", "FiringRate", "FiringWarning", "NonFiniteError", "Progress", "Recipe", "Result",
           "build_model", "evaluate", "fit", "measured_rates", "weights_hash"]
