"""Nothing public is missing from its registry, so nothing escapes the tests that go through them."""

import importlib
import inspect
import pkgutil

import experiments
from jaxrnn import cells, data
from jaxrnn.cells import CELLS, Cell
from jaxrnn.data import DATASETS
from jaxrnn.optimisers import OPTIMISERS, SCHEDULES


def modules(package):
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}


def test_every_public_cell_is_registered():
    classes = {c for _, c in inspect.getmembers(cells, inspect.isclass) if issubclass(c, Cell) and c is not Cell}
    assert {c for c in classes if not c.__name__.startswith("_")} == {getattr(m, "func", m) for m in CELLS.values()}


def test_every_data_set_is_registered():
    loaders = {name: module.load for name, module in modules(data).items() if hasattr(module, "load")}
    assert loaders == DATASETS


def test_every_experiment_is_registered():
    commands = {
        name for name, module in modules(experiments).items() if '__name__ == "__main__"' in inspect.getsource(module)
    }
    assert commands == set(experiments.EXPERIMENTS)


def test_every_name_makes_what_it_names():
    assert all(callable(OPTIMISERS[name](0.1).init) for name in OPTIMISERS)
    assert all(float(SCHEDULES[name](10)(0)) == 1 for name in SCHEDULES)
