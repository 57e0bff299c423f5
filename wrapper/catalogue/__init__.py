"""The catalogue: one YAML file per endpoint, read strictly, checked whole, turned into Operations.

found         what a check finds, and how it says where         schema* shape     JSON Schema, and its faults in plain words
strict_yaml   YAML as JSON has it, with lines                 build*            a file -> Operation, blocks by their kind
folder        the files, and none outside                     check_*  notes    promises across blocks and files
load          all of it, in three passes
"""

from wrapper.catalogue.folder import Folder
from wrapper.catalogue.found import CatalogueError, Found
from wrapper.catalogue.load import check, load
from wrapper.catalogue.schema import json_schema

__all__ = ["CatalogueError", "Folder", "Found", "check", "json_schema", "load"]
