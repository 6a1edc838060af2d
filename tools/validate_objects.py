"""Validate objects that nightread sends, without a network: `python tools/validate_objects.py FILE...`.

dicom-validator reads the standard from its website. On a machine with internet access, run `validate_iods FILE...`
instead. Here the standard comes from the package dicom-standard, which has its tables of April 2020 as JSON:

    python -m venv check && check/bin/pip install dicom-validator dicom-standard
    check/bin/python tools/validate_objects.py FILE...

Enumerated values are not checked, because the JSON has them only as prose. Exit code 1: a file has errors.
"""

import html
import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

_STANDARD = Path(sys.prefix) / "standard"
_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
    "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
)
_CONTENT_SEQUENCE = "(0040,A730)"
_VALUE_TYPES = {
    "(0008,1199)": "COMPOSITE or IMAGE or WAVEFORM",
    "(0040,A050)": "CONTAINER",
    "(0040,A120)": "DATETIME",
    "(0040,A121)": "DATE",
    "(0040,A122)": "TIME",
    "(0040,A123)": "PNAME",
    "(0040,A124)": "UIDREF",
    "(0040,A130)": "TCOORD",
    "(0040,A132)": "TCOORD",
    "(0040,A138)": "TCOORD",
    "(0040,A13A)": "TCOORD",
    "(0040,A160)": "TEXT",
    "(0040,A168)": "CODE",
    "(0040,A300)": "NUM",
    "(0070,0022)": "SCOORD or SCOORD3D",
    "(0070,0023)": "SCOORD or SCOORD3D",
    "(3006,0024)": "SCOORD3D",
}
"""The Value Types that require each attribute of the content tree (PS3.3, C.17.3); the JSON lacks this condition."""


class Standard:
    """The tables of the standard, in the form that dicom-validator wants."""

    def __init__(self) -> None:
        """Read the dictionary."""
        self.dictionary = {
            row["tag"].upper(): {
                "name": row["name"],
                "vr": row["valueRepresentation"].split(" or ")[0],
                "vm": row["valueMultiplicity"],
                "prop": "",
            }
            for row in _table("attributes")
        }
        self._parser = import_module("dicom_validator.spec_reader.condition_parser").ConditionParser(self.dictionary)

    def info(self) -> Any:
        """Return dictionary, IODs and modules as a DicomInfo of dicom-validator."""
        objects = self._objects()
        needed = {
            part["ref"]
            for one in objects.values()
            for kind in ("modules", "group_macros")
            for part in one[kind].values()
        }
        rows = (*_table("module_to_attributes"), *_table("macro_to_attributes"))
        modules = self._modules([row for row in rows if _owner(row) in needed])
        modules = {ref: {} for ref in needed} | modules
        self._complete(modules)
        # Conditions become plain JSON, as in the files of dicom-validator.
        encoder = import_module("dicom_validator.spec_reader.serializer").DefinitionEncoder
        plain = json.loads(json.dumps({"iods": objects, "modules": modules}, cls=encoder))
        kind = import_module("dicom_validator.validator.dicom_info").DicomInfo
        return kind(dictionary=self.dictionary, **plain)

    def _objects(self) -> dict[str, Any]:
        ids = {row["name"]: row["id"] for row in _table("ciods")}
        return {
            row["id"]: {
                "title": row["ciod"],
                "modules": self._parts(ids[row["ciod"]], "ciod_to_modules", "modules", "moduleId"),
                "group_macros": self._parts(ids[row["ciod"]], "ciod_to_fg_macros", "macros", "macroId"),
            }
            for row in _table("sops")
            if row["id"] in _CLASSES
        }

    def _parts(self, ciod: str, table: str, names: str, key: str) -> dict[str, Any]:
        named = {row["id"]: row["name"] for row in _table(names)}
        return {named[row[key]]: self._use(row) for row in _table(table) if row["ciodId"] == ciod}

    def _use(self, row: dict[str, Any]) -> dict[str, Any]:
        if not row["conditionalStatement"]:
            return {"ref": _owner(row), "use": row["usage"]}
        use = f"{row['usage']} - {row['conditionalStatement'].lstrip('– ')}"  # noqa: RUF001 - a dash of the standard
        return {"ref": _owner(row), "use": use, "cond": self._parser.parse(use)}

    def _modules(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        modules: dict[str, Any] = {}
        for row in rows:
            level = modules.setdefault(_owner(row), {})
            *parents, last = [f"({part[:4]},{part[4:]})".upper() for part in row["path"].split(":")[1:]]
            for parent in parents:
                level = level.setdefault(parent, {}).setdefault("items", {})
            if "X" in last:  # a repeating group
                continue
            attribute = level.setdefault(last, {})
            attribute.update(name=self.dictionary.get(last, {}).get("name", ""), type=row["type"])
            condition = self._parser.parse(_text(row["description"])) if row["type"] in ("1C", "2C", "3") else None
            if condition is not None and condition.type.value != "U":
                attribute["cond"] = condition
        return modules

    def _complete(self, modules: dict[str, Any]) -> None:
        """Add what the JSON lacks, and one attribute of later editions that nightread sends."""
        modules["sop-common"]["(0018,A001)"]["items"]["(0018,1002)"] = {"name": "Device UID", "type": "3"}
        for groups in ("(5200,9229)", "(5200,9230)"):
            sequence = modules["multi-frame-functional-groups"][groups]
            sequence.setdefault("items", {})["include"] = [{"ref": "FuncGroup"}]
        self._depend_on_value_type(modules["sr-document-content"])
        modules["sr-document-content"][_CONTENT_SEQUENCE]["items"]["include"] = [{"ref": "sr-document-content"}]

    def _depend_on_value_type(self, level: dict[str, Any]) -> None:
        for tag in level.keys() & _VALUE_TYPES.keys():
            condition = self._parser.parse(f"Required if Value Type (0040,A040) is {_VALUE_TYPES[tag]}.")
            level[tag].update(type="1C", cond=condition)
        if _CONTENT_SEQUENCE in level:
            self._depend_on_value_type(level[_CONTENT_SEQUENCE].get("items", {}))


def _table(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((_STANDARD / f"{name}.json").read_text("utf-8"))
    return rows


def _owner(row: dict[str, Any]) -> str:
    """Return the id of the module or macro of a row. Macros get a prefix, because some have the id of a module."""
    return str(row.get("moduleId") or f"macro {row['macroId']}")


def _text(description: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", description))).strip()


def main() -> None:
    """Validate the files, and print their errors."""
    validator = import_module("dicom_validator.validator.dicom_file_validator").DicomFileValidator(Standard().info())
    results = [result for file in sys.argv[1:] for result in validator.validate(file).values()]
    errors = sum(result.errors for result in results)
    print(f"{len(results)} files, {errors} errors")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
