"""No data set or experiment is missing from its registry (cells: see test_cells), so none escapes the tests."""

import importlib
import inspect
import pkgutil

import experiments
from jaxrnn import data
from jaxrnn.data import DATASETS
from jaxrnn.optimisers import OPTIMISERS, SCHEDULES


def modules(package):
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}


def test_every_data_set_is_registered():
    loaders = {name: module.load for name, module in modules(data).items() if hasattr(module, "load")}
    assert loaders == DATASETS


def test_every_experiment_is_registered():
    commands = {
        name for name, module in modules(experiments).items() if '__name__ == "__main__"' in inspect.getsource(module)
    }
    assert commands == {*experiments.EXPERIMENTS, *experiments.TOOLS}


def test_every_experiment_that_can_be_swept_is_registered():
    found = {name: module.EXPERIMENT for name, module in modules(experiments).items() if hasattr(module, "EXPERIMENT")}
    assert set(found) == set(experiments.SWEEPABLE) <= set(experiments.EXPERIMENTS)
    assert {name: experiment.name for name, experiment in found.items()} == {name: name for name in found}


def test_every_name_makes_what_it_names():
    assert all(callable(OPTIMISERS[name](0.1).init) for name in OPTIMISERS)
    assert all(float(SCHEDULES[name](10)(0)) == 1 for name in SCHEDULES)
